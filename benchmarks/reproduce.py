"""What `normlab-reproduce` takes, against loops written by hand for the same runs, one by one at torch's own threads.

A loop observes what a run does, and evaluates the same at its end. It is timed for one seed of each variant, and
counted six times; what else a user would do by hand, such as loading data, averaging and drawing, costs it nothing.
There are two: over the networks as one writes them in PyTorch, with `torch.optim.Adam` as it is by default, and over
normlab's own, which make the same updates faster. The command is timed as it is, from an empty directory to the last
report.

Command: python benchmarks/reproduce.py (about 20 minutes on two cores)
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
from plain_networks import made_plain

from normlab.config.compose import compose
from normlab.training.build import build

SEEDS = 6
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


def by_hand(experiment: str, overrides: tuple[str, ...], plain: bool) -> float:
    """Return the seconds of one run of a variant by a loop, its final evaluation included."""
    if plain and experiment == "deep_cnn":
        overrides = (*overrides, "optimizer.fused=false")
    run = compose(f"experiment={experiment}", *overrides, f"accelerator.threads={THREADS}")
    settings = run.settings
    seconds = float(settings["steps"] / loop_by_hand(settings, made_plain if plain else None))
    parts = build(settings)
    if plain:
        made_plain(parts.module.network)
    start = time.perf_counter()
    for name in settings["evaluate"]["splits"]:
        score_split(parts, getattr(parts.data.splits, name))
    images, labels = parts.data.splits.test
    for number in range(settings["evaluate"]["one_by_one"]):
        image = parts.data.preprocess(images[number : number + 1])
        score(parts, image, labels[number : number + 1])
    return seconds + time.perf_counter() - start


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print_machine("torch", "pytorch-lightning")
    print(f"seconds, {THREADS} threads  by hand, plain  by hand, normlab's networks")
    plain = ours = 0.0
    for experiment, variants in VARIANTS.items():
        of_plain, of_ours = (
            SEEDS * sum(by_hand(experiment, overrides, is_plain) for overrides in variants)
            for is_plain in (True, False)
        )
        plain, ours = plain + of_plain, ours + of_ours
        print(f"{experiment:<19} {of_plain:>15.0f}  {of_ours:>26.0f}", flush=True)
    print(f"{'all':<19} {plain:>15.0f}  {ours:>26.0f}")
    with tempfile.TemporaryDirectory() as place:
        command = "from normlab.commands.reproduce import main; main()"
        seconds, _ = cost(Path(place), sys.executable, "-c", command, *VARIANTS)
    print(f"normlab-reproduce: {seconds:.0f} s, {seconds / plain:.2f} and {seconds / ours:.2f} of these")


if __name__ == "__main__":
    main()
