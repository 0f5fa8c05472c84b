"""One writer per run: a lock that is released when its process ends, and a heartbeat that other hosts can see."""

import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from normlab.runs.steps import StepCounter

HEARTBEAT_SECONDS = 5.0
"""Interval at which the owner of a run touches its file, and notes its steps."""

SILENCE_SECONDS = 4 * HEARTBEAT_SECONDS
"""An owner on another host that has been silent for so long is dead."""

SECONDS_TO_ACQUIRE = 1.0
"""Time to try the lock, which `find_owner` also holds for a moment."""


class OwnedElsewhereError(Exception):
    """Another living process trains the run; the message says which."""


@contextmanager
def own(directory: Path) -> Iterator[StepCounter]:
    """Own a run directory, which is created if it does not exist, for as long as the context lasts.

    Returns what notes the steps of the run, at each beat.

    Processes on one host exclude each other by a file lock, which the operating system releases when its holder ends,
    however it ends. If a file system does not carry locks from host to host, other hosts see the owner's file: it is
    touched every few seconds, and watched rather than compared with a clock, which may differ between hosts or jump.

    Raises:
        OwnedElsewhereError: another living process owns it.
        OSError: the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    owner = directory / "owner.json"
    lock = FileLock(directory / "owner.lock")
    try:
        lock.acquire(timeout=SECONDS_TO_ACQUIRE)
    except Timeout:
        raise OwnedElsewhereError(_describe(owner)) from None
    try:
        if _beats_on_another_host(owner):
            raise OwnedElsewhereError(_describe(owner))
        owner.write_text(json.dumps({"host": platform.node(), "process": os.getpid()}) + "\n")
        steps = StepCounter(directory)
        steps.remove()
        stop = threading.Event()
        heart = threading.Thread(target=_beat, args=(owner, steps, stop), daemon=True, name="heartbeat")
        heart.start()
        try:
            yield steps
        finally:
            stop.set()
            heart.join()
            steps.remove()
            owner.unlink(missing_ok=True)
    finally:
        lock.release()


def find_owner(directory: Path) -> str | None:
    """Return who trains a run now ("is being trained by …"), as seen from this host; None if nobody does."""
    lock = FileLock(directory / "owner.lock")
    if not (directory / "owner.lock").exists():
        return None
    try:
        with lock.acquire(blocking=False):
            return _describe(directory / "owner.json") if _is_recent_elsewhere(directory / "owner.json") else None
    except Timeout:
        return _describe(directory / "owner.json")


def _is_recent_elsewhere(owner: Path) -> bool:
    touched = _read_mtime(owner)
    on_another_host = _read(owner).get("host") not in (None, platform.node())
    return on_another_host and touched is not None and time.time() - touched / 1e9 < SILENCE_SECONDS


def _beat(owner: Path, steps: StepCounter, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_SECONDS):
        with suppress(OSError):  # a full or vanished disk ends the run at its next write, not here
            os.utime(owner)
            steps.note()


def _beats_on_another_host(owner: Path) -> bool:
    """Watch the file of an owner on another host for as long as a living one could be silent."""
    if _read(owner).get("host") in (None, platform.node()):
        return False  # nobody, or a process of this host that lost its lock by dying
    first = _read_mtime(owner)
    end = time.monotonic() + SILENCE_SECONDS
    while time.monotonic() < end:
        time.sleep(HEARTBEAT_SECONDS / 10)
        if _read_mtime(owner) != first:
            return owner.exists()
    return False


def _read_mtime(owner: Path) -> int | None:
    try:
        return owner.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _read(owner: Path) -> dict[str, object]:
    try:
        content = json.loads(owner.read_text())
    except (OSError, ValueError):  # being written, or deleted in between
        return {}
    return content if isinstance(content, dict) else {}


def _describe(owner: Path) -> str:
    known = _read(owner)
    return f"is being trained by process {known.get('process', '?')} on host {known.get('host', '?')}"
