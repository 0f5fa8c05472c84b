"""Memory of this process: freed memory that glibc keeps between steps, and what is left to take."""

import ctypes
import sys
from contextlib import suppress
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of the options in glibc's `malloc.h`."""

LARGEST_FROM_HEAP = 32 << 20
"""Bytes of the largest tensor whose memory is kept; glibc takes no more."""

KEPT = 1 << 30
"""Bytes that may be free at the end of the heap before glibc returns them."""


def keep_freed_memory() -> None:
    """Let glibc keep freed memory; with another C library, do nothing.

    By default glibc may return the memory of a step's activations to the operating system, depending on what happens
    to follow them, and then request it again page by page, which slows small convolutional networks by a fifth. See
    mallopt(3).
    """
    _call_glibc("mallopt", _MMAP_THRESHOLD, LARGEST_FROM_HEAP)
    _call_glibc("mallopt", _TRIM_THRESHOLD, KEPT)


def return_freed_memory() -> None:
    """Let glibc return all freed memory to the operating system once. See malloc_trim(3)."""
    _call_glibc("malloc_trim", 0)


def _call_glibc(name: str, *arguments: int) -> None:
    """Call a function of glibc; with another C library, which lacks it, do nothing."""
    function = getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
    if function is not None:
        function(*arguments)


def find_free_memory(system: Path = Path("/")) -> int | None:
    """Return the bytes that this process can take before memory ends, of the machine or of a control group around it.

    Memory that holds files counts as free. None if the operating system is not Linux. `system` has `proc` and `sys`.
    """
    try:
        free = _read_numbers(system / "proc/meminfo")["MemAvailable:"] * 1024
        group = (system / "proc/self/cgroup").read_text().rpartition("::")[2].strip()
    except (OSError, KeyError):
        return None
    groups = system / "sys/fs/cgroup"
    place = groups / group.lstrip("/")
    for directory in (place, *place.parents):  # a limit may be set above a job's own group
        with suppress(OSError, ValueError, KeyError):  # no limit: "max"
            limit = int((directory / "memory.max").read_text())
            stat = _read_numbers(directory / "memory.stat")
            held = int((directory / "memory.current").read_text()) - stat["active_file"] - stat["inactive_file"]
            free = min(free, max(limit - held, 0))
    return free


def _read_numbers(file: Path) -> dict[str, int]:
    """Return the numbers of a file of the kernel by the word that starts their line."""
    return {words[0]: int(words[1]) for line in file.read_text().splitlines() if len(words := line.split()) > 1}
