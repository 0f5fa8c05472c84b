"""A sweep as a whole: what of it is missing, checked before the first run starts, and its result after the last one."""

import json
import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from normlab.config.checks import experiment_directory, identity, run_directory, run_id
from normlab.runs.ownership import owner_of
from normlab.runs.record import Record, RunDirectory

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedRun:
    """One job of a sweep: its resolved config, its choices of config groups, and the overrides that ask for it."""

    settings: dict[str, Any]
    choices: Mapping[str, Any]
    overrides: Sequence[str] = ()

    @cached_property  # its name is a hash over the settings, and the progress asks for it every second
    def directory(self) -> RunDirectory:
        return RunDirectory(run_directory(self.settings, self.choices))

    @property
    def record(self) -> Record | None:
        """The record as it stands; None where there is none, or none that can be read."""
        try:
            return self.directory.read()
        except ValueError:
            return None

    @property
    def is_missing(self) -> bool:
        """Whether there is anything left to do for it."""
        record = self.record
        return bool(self.settings["force"]) or record is None or not record.is_result


def check(planned: Sequence[PlannedRun]) -> None:
    """Build the parts of every variant once, so that a mistake in the last is told before the first has trained.

    Raises ConfigurationError.
    """
    if not planned:
        return
    from normlab.training.build import (
        assemble,  # imports torch and Lightning, which a sweep without runs can do without
    )

    variants = {run_id({**identity(run.settings), "seed": 0}, run.choices): run.settings for run in planned}

    def data_of(settings: Mapping[str, Any]) -> str:
        return json.dumps([settings[key] for key in ("data", "preprocessing", "accelerator")], sort_keys=True)

    for _, alike in groupby(sorted(variants.values(), key=data_of), data_of):
        parts = None
        for settings in alike:
            parts = assemble(settings, like=parts)


def report(planned: Sequence[PlannedRun]) -> None:
    """Build the report of all runs in the sweep's directory, which prints its table.

    In a process of its own: pandas and matplotlib would double the memory of the driver.
    """
    place = experiment_directory(planned[0].settings, planned[0].choices)
    if not place.is_dir():
        return  # not one run came as far as to leave a trace
    sys.stdout.flush()
    try:
        status = subprocess.run([sys.executable, "-m", "normlab.commands.report", str(place)], check=False).returncode
    except KeyboardInterrupt:
        status = 130
    if status:
        log.error("The report was not built; normlab-report %s tries again.", place)


def left_to_do(planned: Sequence[PlannedRun]) -> str | None:
    """Return a list of the runs that failed, died or were interrupted, if any did; tell of those made elsewhere."""
    failed = []
    for run in planned:
        record = run.record
        if record is not None and record.is_result:
            continue
        owner = owner_of(run.directory.path)
        if owner is None:
            failed.append(f"  {run.directory.path}: {_fate(record)}")
        else:
            log.info("%s %s", run.directory.path.name, owner)
    if not failed:
        return None
    told = f"{len(failed)} of {len(planned)} runs did not finish; the same command goes on with them:"
    return "\n".join([told, *failed])


def _fate(record: Record | None) -> str:
    if record is None:
        return "never started"
    if record.status == "running":
        return "its process died"
    return f"{record.status}, {record.reason}" if record.reason else record.status
