"""How far a sweep is, told from the records of its runs alone, so that it holds under every launcher."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from normlab.sweeps.plan import PlannedRun

SECONDS_BETWEEN_LOOKS = 1.0


@contextmanager
def telling(planned: Sequence[PlannedRun], missing: Sequence[PlannedRun]) -> Iterator[None]:
    """Tell how far the missing runs are while the context lasts: in one line of a terminal, or a line per change."""
    stop = threading.Event()
    thread = threading.Thread(target=_tell, args=(planned, missing, stop), daemon=True, name="progress")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _tell(planned: Sequence[PlannedRun], missing: Sequence[PlannedRun], stop: threading.Event) -> None:
    start = time.monotonic()
    told: Counter[str] | None = None
    in_terminal = sys.stderr.isatty()
    ended: dict[str, str] = {}
    while True:
        last = stop.wait(SECONDS_BETWEEN_LOOKS)
        counts = _counts(missing, ended)
        line = _line(counts, len(planned), len(planned) - len(missing), time.monotonic() - start)
        if in_terminal:
            # The cursor goes back to the start of the line, so that whatever is logged next takes its place.
            print(f"{line}\x1b[K", end="\n" if last else "\r", file=sys.stderr, flush=True)
        elif counts != told:
            print(line, flush=True)
        told = counts
        if last:
            return


def _counts(missing: Sequence[PlannedRun], ended: dict[str, str]) -> Counter[str]:
    """Count runs by status; those that ended stay in `ended` and are not read again."""
    waiting = []
    for run in missing:
        name = str(run.directory.path)
        if name not in ended:
            record = run.record
            if record is not None and record.is_result:
                ended[name] = record.status
            else:
                waiting.append(record.status if record else "waiting")
    return Counter([*waiting, *ended.values()])


def _line(counts: Counter[str], total: int, skipped: int, seconds: float) -> str:
    done = counts["finished"] + counts["diverged"]
    left = sum(counts.values()) - done - counts["failed"]
    told = f"{done} done, {counts['running']} running, {counts['failed']} failed, {skipped} skipped of {total} runs"
    if done and left:
        told += f", about {_duration(seconds / done * left)} left"
    return told


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
