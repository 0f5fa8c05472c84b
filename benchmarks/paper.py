"""What `normlab-paper` takes, against loops written by hand for the same runs, one by one at torch's own threads.

A loop observes what a run does, and evaluates the same at its end. It is timed for one seed of each variant, and
counted five times; what else a user would do by hand, such as loading data, averaging and drawing, costs it nothing.
The command is timed as it is, from an empty directory to the last report.

Command: python benchmarks/paper.py (about 25 minutes on two cores)
"""

import argparse
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import torch
from loop_by_hand import loop_by_hand, score, score_split
from paired import cost, print_machine

from normlab.assembly import assemble
from normlab.composing import composed

SEEDS = 5
THREADS = torch.get_num_threads()

VARIANTS: dict[str, list[tuple[str, ...]]] = {
    "deep_cnn": [(f"normalizer={name}",) for name in ("none", "tf_layers", "tf_nn")],
    "mlp": [(f"normalizer={name}",) for name in ("none", "batch_norm_1d")],
    "convnet": [(f"normalizer={name}",) for name in ("none", "slim")],
    "preprocessing": [
        (f"normalizer={name}", f"preprocessing={way}")
        for name, way in product(("none", "batch"), ("unit", "center", "standardize", "minmax", "pca", "zca"))
    ],
}


def by_hand(experiment: str, overrides: tuple[str, ...]) -> float:
    """Return the seconds of one run of a variant by a plain loop, its final evaluation included."""
    settings, _ = composed(f"experiment={experiment}", *overrides, f"accelerator.threads={THREADS}")
    seconds = float(settings["steps"] / loop_by_hand(settings))
    parts = assemble(settings)
    start = time.perf_counter()
    for name in settings["evaluate"]["splits"]:
        score_split(parts, getattr(parts.splits, name))
    images, labels = parts.splits.test
    for number in range(settings["evaluate"]["one_by_one"]):
        image = parts.preprocess(images[number : number + 1])
        score(parts.network, parts.objective, image, labels[number : number + 1])
    return seconds + time.perf_counter() - start


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print_machine("torch", "pytorch-lightning")
    total = 0.0
    for experiment, variants in VARIANTS.items():
        seconds = SEEDS * sum(by_hand(experiment, overrides) for overrides in variants)
        total += seconds
        print(f"{experiment:<14} by hand, {THREADS} threads: {seconds:>7.0f} s", flush=True)
    with tempfile.TemporaryDirectory() as place:
        ours, _ = cost(Path(place), sys.executable, "-c", "from normlab.paper import main; main()")
    print(f"{'all':<14} by hand, {THREADS} threads: {total:>7.0f} s")
    print(f"normlab-paper: {ours:.0f} s, {ours / total:.2f} of it")


if __name__ == "__main__":
    main()
