"""The cost of a sweep before it starts: its missing runs, core-minutes and disk."""

import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normlab.runs.directory import find_runs, measure_size
from normlab.runs.run import Run


@dataclass(frozen=True)
class Cost:
    """The cost of the runs that are missing."""

    runs: int
    missing: int
    core_minutes: float | None
    """None if neither records of this machine nor the experiment file say what a step takes."""
    megabytes: float | None

    def __str__(self) -> str:
        if not self.missing:
            return f"all {self.runs} runs are there"
        minutes = "an unknown time" if self.core_minutes is None else f"about {self.core_minutes:.1f} core-minutes"
        disk = "" if self.megabytes is None else f" and {self.megabytes:.0f} MB"
        return f"{self.missing} of {self.runs} runs are missing: {minutes}{disk}"


def estimate_cost(runs: Sequence[Run]) -> Cost:
    """Estimate the cost of what is missing of a sweep.

    A step takes what it took in the runs of the experiment that this machine has finished, if there are any, or else
    what `report.cost` of the experiment says.
    """
    missing = [run for run in runs if run.is_missing]
    declared: dict[str, Any] = runs[0].settings["report"]["cost"]
    per_step, megabytes = _measure({run.experiment_directory for run in runs})
    if per_step is None and "seconds_per_1000_steps" in declared:
        per_step = declared["seconds_per_1000_steps"] / 1000
    if megabytes is None:
        megabytes = declared.get("megabytes")
    return Cost(
        runs=len(runs),
        missing=len(missing),
        core_minutes=None if per_step is None else per_step * sum(run.settings["steps"] for run in missing) / 60,
        megabytes=None if megabytes is None else megabytes * len(missing),
    )


def _measure(directories: Iterable[Path]) -> tuple[float | None, float | None]:
    """Return core-seconds per step and megabytes per run of the runs that this machine has finished there."""
    records, sizes = [], []
    for found in (found for directory in directories for found in find_runs(directory)):
        record = found.state().record
        if record is not None and record.is_result and record.environment.get("host") == platform.node():
            records.append(record)
            sizes.append(measure_size(found.path) / 1e6)
    if not records:
        return None, None
    seconds = sum(record.core_seconds for record in records)
    return seconds / sum(record.steps for record in records), sum(sizes) / len(sizes)
