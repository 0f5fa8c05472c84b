"""What a sweep costs beside training: two workers against one process, a run's overhead, a skip, a thousand of them.

Everything is measured from outside, on the command as a user calls it; the 8 runs are of full length, with their
observations and final evaluation.

Command: python benchmarks/sweeps.py (about 20 minutes on two cores)
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = ("experiment=deep_cnn", "normalizer=none,tf_layers", "seed=0,1,2,3")


def seconds_of(place: Path, *arguments: str) -> float:
    """Run the command in a directory and return how long it took. Raises CalledProcessError where it fails."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "normlab", *arguments], cwd=place, check=True, capture_output=True)
    return time.perf_counter() - start


def two_workers_against_one(rounds: int) -> None:
    """Print how much faster 8 runs of deep_cnn are done by two workers than by the basic launcher."""
    sides = {
        "two workers": ("hydra.launcher.workers=2",),
        "basic, one thread as by default": ("hydra/launcher=basic",),
        "basic, as many threads as torch takes": ("hydra/launcher=basic", "accelerator.threads=null"),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, arguments in sides.items():
            with tempfile.TemporaryDirectory() as place:
                seconds[side].append(seconds_of(Path(place), *RUNS, *arguments))
            print(f"8 runs of deep_cnn, {side}: {seconds[side][-1]:.0f} s", flush=True)
    two, *others = sides
    for side in others if rounds else ():
        ratios = [slow / fast for slow, fast in zip(seconds[side], seconds[two], strict=True)]
        print(f"{two} against {side}: {statistics.median(ratios):.2f} times as fast (median of {rounds})")


def overhead_of_a_run() -> None:
    """Print what a run in a sweep costs beside its training, observations and final evaluation."""
    few, many = 2, 22
    times = {}
    sweep = ("experiment=deep_cnn", "normalizer=tf_layers", "steps=1", "hydra.launcher.workers=1", "observe.val=null")
    bare = ("observe.train_batch=null", "evaluate.splits=[]", "evaluate.one_by_one=0")
    for runs in (few, many):
        with tempfile.TemporaryDirectory() as place:
            times[runs] = seconds_of(Path(place), *sweep, *bare, f"seed=range({runs})")
    print(f"overhead of a run in a sweep: {(times[many] - times[few]) / (many - few):.2f} s")


def a_thousand_finished_runs(runs: int) -> None:
    """Print what it costs to skip finished runs, and the memory of the driver that does."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        sweep = ("experiment=demo", "normalizer=tf_layers", "steps=1", "evaluate.one_by_one=0")
        seconds_of(place, *sweep, "seed=0")
        none = seconds_of(place, *sweep, "seed=0")
        multiply(next(place.glob("outputs/demo/runs/*")), sweep, runs)
        start = time.perf_counter()
        driver = subprocess.Popen(
            [sys.executable, "-m", "normlab", *sweep, f"seed=range({runs})"], cwd=place, stdout=subprocess.DEVNULL
        )
        _, status, used = os.wait4(driver.pid, 0)
        assert status == 0
        print(f"skipping {runs} finished runs: {(time.perf_counter() - start - none) / (runs - 1):.3f} s each")
        print(f"memory of the driver that did: {used.ru_maxrss / 1024:.0f} MB")


def multiply(finished: Path, sweep: tuple[str, ...], runs: int) -> None:
    """Give other seeds a copy of a finished run, as if they had been trained."""
    from normlab.composing import composed
    from normlab.config import run_id

    settings, choices = composed(*sweep, "hydra.mode=RUN", "seed=0")
    record = json.loads((finished / "run.json").read_text())
    for seed in range(1, runs):
        copy = finished.with_name(run_id({**settings, "seed": seed}, choices))
        shutil.copytree(finished, copy)
        (copy / "run.json").write_text(json.dumps({**record, "seed": seed, "run_id": copy.name}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1, help="of two workers against one")
    parser.add_argument("--runs", type=int, default=1000, help="how many finished ones are skipped")
    arguments = parser.parse_args()
    a_thousand_finished_runs(arguments.runs)
    overhead_of_a_run()
    two_workers_against_one(arguments.rounds)
