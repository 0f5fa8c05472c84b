"""Sides of a comparison timed in turn: on a machine whose speed drifts, only neighbours in time can be compared."""

import argparse
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path


def print_machine(*distributions: str) -> None:
    """Print platform, processor, cores and their load, and the versions of Python and of these distributions."""
    versions = ", ".join(f"{name} {version(name)}" for name in distributions)
    print(f"{platform.platform()}, {_processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"python {platform.python_version()}, {versions}", flush=True)


def rounds_asked_for(description: str | None, usual: int) -> int:
    """Read the command line of a script that takes a number of rounds alone, and shows this description for --help."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=usual, help=f"timings of each side (default: {usual})")
    return int(parser.parse_args().rounds)


def read_cases_and_rounds(description: str | None, cases: Sequence[str], usual: int) -> tuple[list[str], int]:
    """Read the same, and which of the cases to time; all of them if none is named."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(cases)} (default: all)")
    parser.add_argument("--rounds", type=int, default=usual, help=f"timings of each side (default: {usual})")
    asked = parser.parse_args()
    if unknown := [name for name in asked.cases if name not in cases]:
        parser.error(f"there is no case {unknown[0]}: choose of {', '.join(cases)}")
    return asked.cases or [*cases], int(asked.rounds)


def in_turn(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call every side once a round, in this order and the other way round by turns; return what each returned."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            found[name].append(sides[name]())
    return found


def working(sides: Mapping[str, Callable[[], float]]) -> dict[str, Callable[[], float]]:
    """Call every side once, untimed; return those that do not raise, and say of the others why they are left out."""
    found = {}
    for name, side in sides.items():
        try:
            side()
        except Exception as error:
            print(f"{name} FAILED, and is left out: {type(error).__name__}: {error}", flush=True)
        else:
            found[name] = side
    return found


def ratio(over: Sequence[float], under: Sequence[float]) -> str:
    """Return "median (min – max)" of the ratios round by round."""
    return spread([one / other for one, other in zip(over, under, strict=True)])


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Return "median (min – max)"."""
    median, least, most = (f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{median} ({least} – {most})"


def cost(place: Path, *program: str) -> tuple[float, float]:
    """Run a program in a directory; return seconds, and megabytes of the largest of its processes.

    Linux counts what the caller itself holds as the least, so a caller that measures memory must not import torch.
    Raises CalledProcessError where the program fails.
    """
    start = time.perf_counter()
    process = subprocess.Popen(program, cwd=place, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, program)
    return seconds, used.ru_maxrss / 1024


def _processor() -> str:
    """Return the processor's name, which Python's `platform` does not know on Linux."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
