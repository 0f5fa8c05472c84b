"""What becomes of memory that tensors on the CPU have freed: it stays with the process, for the next update."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of the options in glibc's `malloc.h`."""

LARGEST_FROM_THE_HEAP = 32 << 20
"""Bytes of the largest tensor whose memory is kept; glibc takes no more."""

KEPT = 1 << 30
"""Bytes that may lie free at the heap's end before glibc gives them back."""


def keep_freed_memory() -> None:
    """Let glibc keep what is freed, where it is the C library; another is left as it is.

    By default it may give the memory of each update's activations back to the system, depending on what happens to lie
    behind them, and then takes it again page by page, which slows small convolutional networks by a fifth.
    See mallopt(3).
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, LARGEST_FROM_THE_HEAP)
        mallopt(_TRIM_THRESHOLD, KEPT)
