"""How long `normlab` takes to answer, and to begin: help, wrong overrides, and the first update of a cold run.

A run cannot begin before torch and Lightning are imported. So the time from the start of the command to the end of its
first update, on MNIST and with all that a run writes before, is compared with that of a process that imports the two
and does nothing else, in turns.

Command: python benchmarks/startup.py (about 3 minutes on one core)
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from paired import in_turn, print_machine, ratio, rounds_asked_for, spread

ANSWERS = (
    ("--help",),
    ("nosuch=1",),
    ("normalizer=nosuch",),
    ("steps=abc",),
    ("steps=0",),
    ("model.hidden=x",),
    ("experiment=mlp", "steps=abc"),
    ("experiment=mlp", "optimizer.lr=abc"),
)
IMPORTS = "import torch, pytorch_lightning"
MARK = "first update at"
FIRST = "+observe.first={_target_: startup.FirstUpdate, first: 1, every: 1}"


class FirstUpdate:
    """Prints, in the command's own process, when a run of one step has made it; before that, when it is tried."""

    metrics: ClassVar[dict[str, Any]] = {}

    def measure(self, state: object) -> dict[str, float]:
        print(MARK, time.time(), flush=True)
        return {}


def seconds_to_answer(*arguments: str) -> float:
    """Return how long the command takes with arguments that make no run."""
    start = time.perf_counter()
    finished = subprocess.run([sys.executable, "-m", "normlab", *arguments], capture_output=True)
    seconds = time.perf_counter() - start
    assert finished.returncode == (0 if arguments == ("--help",) else 1), finished.stderr
    return seconds


def seconds_to_import() -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    return time.perf_counter() - start


def seconds_to_first_update() -> float:
    """Return the time from the start of `normlab model=mlp` to the end of its first update, in a new directory."""
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    with tempfile.TemporaryDirectory() as root:
        arguments = ("model=mlp", "steps=1", f"output_root={root}", "evaluate.splits=[]", "evaluate.one_by_one=0")
        start = time.time()
        finished = subprocess.run(
            [sys.executable, "-m", "normlab", *arguments, FIRST],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            check=True,
            capture_output=True,
            text=True,
        )
    *_, told = (line for line in finished.stdout.splitlines() if line.startswith(MARK))
    return float(told.removeprefix(MARK)) - start


def show(what: str, values: Sequence[float], unit: str = " s") -> None:
    print(f"{what:<50} {spread(values, 2)}{unit}", flush=True)


def main() -> None:
    rounds = rounds_asked_for(__doc__, 7)
    print_machine("torch", "pytorch-lightning", "hydra-core")
    print(f"{'':<50} median (min – max) of {rounds}")
    for arguments in ANSWERS:
        show(f"normlab {' '.join(arguments)}", [seconds_to_answer(*arguments) for _ in range(rounds)])
    first = "normlab model=mlp, first update"
    found = in_turn({IMPORTS: seconds_to_import, first: seconds_to_first_update}, rounds)
    for what, seconds in found.items():
        show(what, seconds)
    print(f"{'the second of these in terms of the first':<50} {ratio(found[first], found[IMPORTS])}")


if __name__ == "__main__":
    main()
