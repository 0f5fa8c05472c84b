"""Memory that an update has freed is there for the next one, on Linux with glibc."""

import os
import platform
import resource
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from normlab.processes.memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()

def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def update() -> None:
    del [torch.ones(1_000_000) for _ in range(8)][:]  # as activations: all at once, and gone together

for _ in range(3):
    update()
before = faults()
for _ in range(10):
    update()
print(faults() - before)
"""


def page_faults(choice: str) -> int:
    """Pages that ten updates got from the system, in a process of its own, which starts out giving back all it frees.

    By default glibc does so or not by what lies where.
    """
    asked = subprocess.run(
        [sys.executable, "-c", FAULTS, choice],
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(asked.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_an_update_takes_the_memory_that_the_one_before_has_freed() -> None:
    pages = 8 * 4_000_000 // resource.getpagesize()  # that one update takes
    assert page_faults("kept") < pages
    assert page_faults("left") > 5 * pages
