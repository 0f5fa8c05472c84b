"""The progress of a sweep, read from the directories of its runs, so that it works under every launcher."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from normlab.runs.run import Run
from normlab.runs.steps import describe_steps, read_steps

SECONDS_BETWEEN_LOOKS = 1.0

SECONDS_BETWEEN_LINES = 60.0
"""Interval of lines about steps alone, if the output is no terminal."""


@contextmanager
def show_progress(runs: Sequence[Run], missing: Sequence[Run]) -> Iterator[None]:
    """Show in this context how far the missing runs are: in one line of a terminal, or in lines of a log."""
    stop = threading.Event()
    arguments = (Watch(missing, len(runs)), stop)
    thread = threading.Thread(target=_show, args=arguments, daemon=True, name="progress")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@dataclass(frozen=True)
class Progress:
    """The missing runs of a sweep by how far they are, and their steps."""

    done: int
    running: int
    failed: int
    skipped: int
    total: int
    """Of all runs, those skipped included."""
    steps: int
    """Made by the missing runs, those before they were resumed included."""
    planned: int
    seconds_left: float | None

    @property
    def runs(self) -> tuple[int, int, int]:
        return self.done, self.running, self.failed

    def __str__(self) -> str:
        runs = f"{self.done} done, {self.running} running, {self.failed} failed, {self.skipped} skipped"
        return f"{runs} of {self.total} runs; {describe_steps(self.steps, self.planned, self.seconds_left)}"


class Watch:
    """Watches the missing runs of a sweep, of which none has started yet, among `total` runs in all."""

    def __init__(self, missing: Sequence[Run], total: int) -> None:
        self.missing = missing
        self.skipped, self.total = total - len(missing), total
        self._stamps = [_read_stamp(run) for run in missing]
        self._found = [0 if run.settings["force"] else read_steps(run.directory.path).made for run in missing]
        """Steps on disk that no process of this sweep has made."""
        self._done: set[int] = set()
        """Places of the runs that have a result, which are not read again."""

    def look(self, seconds: float) -> Progress:
        """Return how far the runs are, so many seconds after the start."""
        counts: Counter[str] = Counter()
        steps = made = left = 0
        for place, run in enumerate(self.missing):
            status, planned = self._read_status(place), run.settings["steps"]
            counts[status] += 1
            reached = planned
            if status == "waiting":
                reached = self._found[place]
            elif status != "done":
                noted = read_steps(run.directory.path)
                reached = noted.made
                if noted.first is not None and _read_stamp(run) != self._stamps[place]:
                    self._found[place] = noted.first
                else:  # its owner has noted nothing yet, or has started before the sweep
                    self._found[place] = min(self._found[place], reached)
            steps += reached
            made += reached - self._found[place]
            left += planned - reached if status != "failed" else 0
        return Progress(
            done=counts["done"],
            running=counts["running"],
            failed=counts["failed"],
            skipped=self.skipped,
            total=self.total,
            steps=steps,
            planned=sum(run.settings["steps"] for run in self.missing),
            seconds_left=seconds / made * left if made and left else None,
        )

    def _read_status(self, place: int) -> str:
        """Return the status of a run: `done` with a result, `waiting` if its record is that of an earlier sweep."""
        if place in self._done:
            return "done"
        run = self.missing[place]
        state = run.state()
        if state.status != "running" and _read_stamp(run) == self._stamps[place]:
            return "waiting"
        if not state.is_result:
            return state.status
        self._done.add(place)
        return "done"


def is_news(progress: Progress, shown: Progress | None, seconds: float) -> bool:
    """Whether a log gets a line, so many seconds after the one with `shown`: if runs have started or ended, and every
    minute if steps were made.
    """
    if shown is None or progress.runs != shown.runs:
        return True
    return progress.steps != shown.steps and seconds >= SECONDS_BETWEEN_LINES


def _show(watch: Watch, stop: threading.Event) -> None:
    start = shown_at = time.monotonic()
    shown: Progress | None = None
    in_terminal = sys.stderr.isatty()
    is_last = False
    while not is_last:
        is_last = stop.wait(SECONDS_BETWEEN_LOOKS)
        now = time.monotonic()
        progress = watch.look(now - start)
        if in_terminal:
            # The cursor returns to the start of the line, so that the next log message replaces it.
            print(f"{progress}\x1b[K", end="\n" if is_last else "\r", file=sys.stderr, flush=True)
        elif is_news(progress, shown, now - shown_at):
            print(progress, flush=True)
            shown, shown_at = progress, now


def _read_stamp(run: Run) -> int | None:
    """Return when the record of a run was written; None if there is none."""
    try:
        return run.directory.record.stat().st_mtime_ns
    except OSError:
        return None
