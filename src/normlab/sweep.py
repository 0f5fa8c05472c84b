"""A sweep as a whole: its runs checked before the first one starts, its result told after the last one."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normlab.config import ConfigurationError, experiment_directory, identity, run_directory, run_id
from normlab.records import RunDirectory
from normlab.report.summary import print_summary


@dataclass(frozen=True)
class PlannedRun:
    """One job of a sweep: its resolved config and its choices of config groups."""

    settings: dict[str, Any]
    choices: Mapping[str, Any]

    @property
    def directory(self) -> RunDirectory:
        return RunDirectory(run_directory(self.settings, self.choices))


def check(planned: Sequence[PlannedRun]) -> None:
    """Build the parts of every variant once, so that a mistake in the last is told before the first has trained.

    Raises ConfigurationError.
    """
    from normlab.assembly import assemble  # imports torch, which a mistake found above need not wait for

    checked = set()
    for run in planned:
        variant = run_id({**identity(run.settings), "seed": 0}, run.choices)
        if variant not in checked:
            checked.add(variant)
            assemble(run.settings)


def summarize(planned: Sequence[PlannedRun]) -> None:
    """Print the table of the sweep. Raises ConfigurationError, listing them, where runs did not finish."""
    records = [(run, run.directory.read()) for run in planned]
    finished = [(run.settings, record) for run, record in records if record and record.status == "finished"]
    print_summary(finished, _tensorboard_directory(planned), sys.stdout)
    unfinished = [
        f"  {run.directory.path}: {record.status if record else 'never started'}"
        for run, record in records
        if record is None or record.status != "finished"
    ]
    if unfinished:
        raise ConfigurationError("\n".join([f"{len(unfinished)} of {len(planned)} runs did not finish:", *unfinished]))


def _tensorboard_directory(planned: Sequence[PlannedRun]) -> Path:
    return experiment_directory(planned[0].settings, planned[0].choices)
