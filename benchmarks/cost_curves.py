"""What time and memory grow with: updates of a run, runs that a sweep skips or makes, seeds trained together.

Everything is measured from outside, on the command as a user calls it: seconds from its start to its end, and megabytes
of the largest of its processes. Sweeps are made without their report, which `report.py` measures.

Command: python benchmarks/cost_curves.py (about 9 minutes on two cores)
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from paired import cost, print_machine

from normlab.config.compose import compose
from normlab.runs.identity import run_id

UPDATES = (10, 100, 1_000, 10_000)
FINISHED_RUNS = (1, 10, 100, 1_000)
MADE_RUNS = (1, 4, 16)
SEEDS_TOGETHER = (1, 4, 16, 64, 256)
UPDATES_TOGETHER = 500

BARE = ("experiment=mlp", "normalizer=batch_norm_1d", "steps=1", "evaluate.splits=[]", "evaluate.one_by_one=0")
"""A sweep over seeds of runs so short that what is left is the cost of a run beside its training."""


def normlab(place: Path, *arguments: str) -> tuple[float, float]:
    return cost(place, sys.executable, "-m", "normlab", *arguments)


def updates_of_a_run(place: Path, updates: int) -> tuple[float, float]:
    """Make one run of the mlp, with the experiment's observations and final evaluation."""
    one = ("experiment=mlp", "hydra.mode=RUN", "normalizer=batch_norm_1d", f"steps={updates}")
    return normlab(place, *one)


def seeds_together(place: Path, seeds: int) -> tuple[float, float]:
    """Make runs of the mlp that differ in their seed alone, in one process."""
    return normlab(
        place,
        "experiment=mlp",
        "normalizer=batch_norm_1d",
        f"steps={UPDATES_TOGETHER}",
        f"seed=range({seeds})",
        "hydra/launcher=population",
        "hydra.launcher.size=256",
        "hydra.launcher.workers=1",
        "hydra.sweeper.report=false",
    )


def runs_made(place: Path, runs: int) -> tuple[float, float]:
    """Make runs of one update one after the other in one worker."""
    return normlab(place, *BARE, f"seed=range({runs})", "hydra.launcher.workers=1", "hydra.sweeper.report=false")


def runs_found_finished(place: Path, runs: int) -> tuple[float, float]:
    """Ask for a sweep of which every run is finished."""
    runs_made(place, 1)
    multiply(next(place.glob("outputs/mlp/runs/*")), runs)
    return runs_made(place, runs)


def multiply(finished: Path, runs: int) -> None:
    """Give other seeds a copy of a finished run, as if they had been trained."""
    run = compose(*BARE, "hydra.mode=RUN", "seed=0")
    record = json.loads((finished / "run.json").read_text())
    for seed in range(1, runs):
        copy = finished.with_name(run_id({**run.settings, "seed": seed}, run.choices))
        shutil.copytree(finished, copy)
        (copy / "run.json").write_text(json.dumps({**record, "seed": seed, "run_id": copy.name}))


def curve(unit: str, sizes: Iterable[int], measured: Callable[[Path, int], tuple[float, float]]) -> None:
    """Print seconds and megabytes for each size, and the seconds that each further one cost since the size before."""
    print(f"{unit:>22}  seconds     MB  seconds per further one")
    before: tuple[int, float] | None = None
    for size in sizes:
        with tempfile.TemporaryDirectory() as place:
            seconds, megabytes = measured(Path(place), size)
        further = f"{(seconds - before[1]) / (size - before[0]):.4f}" if before else ""
        print(f"{size:>22}  {seconds:>7.1f}  {megabytes:>5.0f}  {further}", flush=True)
        before = size, seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    print_machine("torch", "pytorch-lightning", "hydra-core")
    curve("updates of a run", UPDATES, updates_of_a_run)
    curve("runs found finished", FINISHED_RUNS, runs_found_finished)
    curve("runs of one update", MADE_RUNS, runs_made)
    curve(f"seeds, {UPDATES_TOGETHER} updates each", SEEDS_TOGETHER, seeds_together)
