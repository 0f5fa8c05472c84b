"""The progress of a sweep, read from the directories of its runs, so that it works under every launcher."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from normlab.runs.run import Run

SECONDS_BETWEEN_LOOKS = 1.0


@contextmanager
def show_progress(runs: Sequence[Run], missing: Sequence[Run]) -> Iterator[None]:
    """Show in this context how far the missing runs are: in one line of a terminal, or a line per change."""
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(missing, len(runs), stop), daemon=True, name="progress")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _watch(missing: Sequence[Run], total: int, stop: threading.Event) -> None:
    start = time.monotonic()
    shown: Counter[str] | None = None
    in_terminal = sys.stderr.isatty()
    ended: dict[int, str] = {}
    while True:
        last = stop.wait(SECONDS_BETWEEN_LOOKS)
        counts = _count(missing, ended)
        line = _format(counts, total, total - len(missing), time.monotonic() - start)
        if in_terminal:
            # The cursor returns to the start of the line, so that the next log message replaces it.
            print(f"{line}\x1b[K", end="\n" if last else "\r", file=sys.stderr, flush=True)
        elif counts != shown:
            print(line, flush=True)
        shown = counts
        if last:
            return


def _count(missing: Sequence[Run], ended: dict[int, str]) -> Counter[str]:
    """Count runs by status; those that ended stay in `ended`, by position, and are not read again."""
    counts: Counter[str] = Counter()
    for position, run in enumerate(missing):
        status = ended.get(position) or run.state().status
        if status in ("finished", "diverged"):
            ended[position] = status
        counts[status] += 1
    return counts


def _format(counts: Counter[str], total: int, skipped: int, seconds: float) -> str:
    done = counts["finished"] + counts["diverged"]
    left = sum(counts.values()) - done - counts["failed"]
    line = f"{done} done, {counts['running']} running, {counts['failed']} failed, {skipped} skipped of {total} runs"
    if done and left:
        line += f", about {_format_duration(seconds / done * left)} left"
    return line


def _format_duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
