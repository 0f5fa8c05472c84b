"""The steps of a run in progress: noted by its owner every few seconds, and read by whoever watches it."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "owner.steps"


@dataclass(frozen=True)
class Steps:
    """The steps that a run has made, those before it was resumed included."""

    made: int
    first: int | None = None
    """Those from before its owner started it; None if there is no owner."""
    seconds_per_step: float | None = None
    """Of the steps made since then; None if there is none."""


class StepCounter:
    """Notes the steps of a run in its directory."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / FILE
        self._count: Callable[[], int] | None = None

    def start(self, count: Callable[[], int]) -> None:
        """Count from now on, by a function that returns the steps made so far, and is called from another thread."""
        self._first, self._start = count(), time.monotonic()
        self._count = count

    def note(self) -> None:
        """Write the steps made so far, once the counter is started. Raises OSError."""
        if self._count is None:
            return
        made = self._count()
        pace = (time.monotonic() - self._start) / (made - self._first) if made > self._first else None
        self._file.write_text(json.dumps(asdict(Steps(made, self._first, pace))))

    def remove(self) -> None:
        """Remove what is noted, also by an earlier owner that was killed."""
        self._file.unlink(missing_ok=True)


def read_steps(directory: Path) -> Steps:
    """Return the steps that the owner of a run has noted, or else the step of the last whole row of its metrics."""
    try:
        return Steps(**json.loads((directory / FILE).read_text()))
    except (OSError, ValueError, TypeError):  # there is no owner, or it is writing
        pass
    try:
        rows = (directory / "metrics.csv").read_text(encoding="utf-8").rpartition("\n")[0].splitlines()[1:]
    except OSError:
        return Steps(0)
    return Steps(int(rows[-1].split(",")[0]) if rows else 0)


def describe_steps(made: int, planned: int, seconds_left: float | None) -> str:
    """Return a text such as `3,400 of 12,000 steps, about 3 min left`."""
    left = "" if seconds_left is None else f", about {_describe_duration(seconds_left)} left"
    return f"{made:,} of {planned:,} steps{left}"


def _describe_duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if seconds >= 60 else f"{seconds:.0f} s"
