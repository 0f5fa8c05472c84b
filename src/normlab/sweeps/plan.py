"""A sweep as a whole: checked before its first run starts, reported after the last one has ended."""

import json
import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from normlab.runs.identity import identify, run_id
from normlab.runs.run import Run

log = logging.getLogger(__name__)


def check(runs: Sequence[Run]) -> None:
    """Build the parts of every variant once, so that a mistake in the last shows before the first has trained.

    Raises ConfigurationError.
    """
    if not runs:
        return
    # They import torch, which a sweep with nothing to do does not need.
    from normlab.training.build import build
    from normlab.training.data import try_data

    variants = {run_id({**identify(run.settings), "seed": 0}, run.choices): run.settings for run in runs}

    def key_of_data(settings: Mapping[str, Any]) -> str:
        return json.dumps([settings[key] for key in ("data", "preprocessing", "accelerator")], sort_keys=True)

    for _, alike in groupby(sorted(variants.values(), key=key_of_data), key_of_data):
        first, *others = alike
        data = build(first, load=try_data, trial=False).data
        for settings in others:
            build(settings, load=lambda *_, data=data: data, trial=False)


def report(runs: Sequence[Run]) -> None:
    """Build the report of all runs in each directory of the sweep, which prints its table.

    In a process of its own: pandas and matplotlib would double the memory of the driver.
    """
    sys.stdout.flush()
    for directory in dict.fromkeys(run.experiment_directory for run in runs):
        if not directory.is_dir():  # no run has left a trace
            continue
        try:
            command = [sys.executable, "-m", "normlab.commands.report", str(directory)]
            status = subprocess.run(command, check=False).returncode
        except KeyboardInterrupt:
            status = 130
        if status:
            log.error("The report was not built; normlab-report %s tries again.", directory)


def list_unfinished(runs: Sequence[Run]) -> str | None:
    """Return a list of the runs that failed, died or were interrupted, if any; log those that others still train."""
    unfinished = []
    for run in runs:
        state = run.state()
        if state.status == "running":
            log.info("%s %s", run.id, state.reason)
        elif state.status not in ("finished", "diverged"):
            status = "" if state.status in ("missing", "died") else f"{state.status}, "
            unfinished.append(f"  {run.directory.path}: {(status + state.reason).removesuffix(', ')}")
    if not unfinished:
        return None
    heading = f"{len(unfinished)} of {len(runs)} runs did not finish; run the same command again to resume them:"
    return "\n".join([heading, *unfinished])
