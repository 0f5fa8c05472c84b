"""Memory that an update has freed is there for the next one, on Linux with glibc; and what is left to take."""

import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from normlab.processes.memory import find_free_memory

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


def write(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)


def test_free_memory_is_that_of_the_machine_or_of_the_tightest_group_around_the_process(tmp_path: Path) -> None:
    write(tmp_path / "proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    5000 kB\nHugePages_Total: 0\n")
    write(tmp_path / "proc/self/cgroup", "0::/job/step\n")
    assert find_free_memory(tmp_path) == 5000 * 1024
    groups = tmp_path / "sys/fs/cgroup"
    for group, limit in (("job", "3000000"), ("job/step", "max")):
        write(groups / group / "memory.max", f"{limit}\n")
        write(groups / group / "memory.current", "2500000\n")
        write(groups / group / "memory.stat", "anon 1000000\nactive_file 500000\ninactive_file 1000000\n")
    assert find_free_memory(tmp_path) == 2_000_000
    write(groups / "job/memory.max", "1\n")
    assert find_free_memory(tmp_path) == 0


def test_free_memory_is_unknown_on_other_systems(tmp_path: Path) -> None:
    assert find_free_memory(tmp_path) is None
