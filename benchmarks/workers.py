"""What two workers gain: 8 runs of deep_cnn by two processes at once against one process, of full length.

Everything is measured from outside, on the command as a user calls it: runs with their observations, final evaluation
and report.

Command: python benchmarks/workers.py (about 20 minutes on two cores)
"""

import statistics
import sys
import tempfile
from pathlib import Path

from paired import cost, in_turn, print_machine, ratio, rounds_asked_for

RUNS = ("experiment=deep_cnn", "normalizer=none,tf_layers", "seed=0,1,2,3")
SIDES = {
    "two workers": ("hydra.launcher.workers=2",),
    "basic, one thread as by default": ("hydra/launcher=basic",),
    "basic, as many threads as torch takes": ("hydra/launcher=basic", "accelerator.threads=null"),
}


def seconds_of(launcher: tuple[str, ...]) -> float:
    """Make the runs in an empty directory and return how long it took."""
    with tempfile.TemporaryDirectory() as place:
        return cost(Path(place), sys.executable, "-m", "normlab", *RUNS, *launcher)[0]


def main() -> None:
    rounds = rounds_asked_for(__doc__, 1)
    print_machine("torch", "hydra-core")
    print(f"8 runs of deep_cnn                      seconds   ÷ two workers, median (min – max) of {rounds}")
    sides = {side: lambda launcher=launcher: seconds_of(launcher) for side, launcher in SIDES.items()}
    found = in_turn(sides, rounds)
    for side, seconds in found.items():
        told = "" if side == "two workers" else ratio(seconds, found["two workers"])
        print(f"{side:<38} {statistics.median(seconds):>8.0f}   {told}")


if __name__ == "__main__":
    main()
