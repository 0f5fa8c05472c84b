"""How long `normlab` takes to answer, and to begin: help, wrong overrides, and the first update of a cold run.

A run cannot begin before torch and Lightning are imported. So the time from the start of the command to the end of its
first update, on MNIST and with all that a run writes before, is compared with that of a process that imports the two
and does nothing else, in turns.

Command: python benchmarks/startup.py (about 3 minutes on one core)
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

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


class FirstUpdate(pl.Callback):
    """Tells, in the command's own process, when a run of one step has made it."""

    def on_train_batch_end(self, *args: Any) -> None:
        print(MARK, time.time(), flush=True)


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
            [sys.executable, "-m", "normlab", *arguments, "+callbacks.first._target_=startup.FirstUpdate"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            check=True,
            capture_output=True,
            text=True,
        )
    (told,) = (line for line in finished.stdout.splitlines() if line.startswith(MARK))
    return float(told.removeprefix(MARK)) - start


def show(what: str, values: Sequence[float], unit: str = " s") -> None:
    print(f"{what:<50} {statistics.median(values):.2f}{unit} ({min(values):.2f} – {max(values):.2f})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="timings of each command (default: 7)")
    rounds = range(parser.parse_args().rounds)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "pytorch-lightning", "hydra-core"))
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}")
    print(f"{'':<50} median of {len(rounds)} (min – max)")
    for arguments in ANSWERS:
        show(f"normlab {' '.join(arguments)}", [seconds_to_answer(*arguments) for _ in rounds])
    pairs = [(seconds_to_import(), seconds_to_first_update()) for _ in rounds]
    imports, updates = zip(*pairs, strict=True)
    show(IMPORTS, imports)
    show("normlab model=mlp, first update", updates)
    show("the second of these in terms of the first", [update / alone for alone, update in pairs], " ×")


if __name__ == "__main__":
    main()
