"""Stop glibc from returning freed memory to the operating system between steps."""

import ctypes
import sys

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
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, LARGEST_FROM_HEAP)
        mallopt(_TRIM_THRESHOLD, KEPT)
