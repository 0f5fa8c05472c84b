"""What the harness costs: steps per second of whole runs against a loop written by hand, in one process, alternating.

Both sides train the same network on the same batches with the same optimizer and threads. The run is one of
`normlab.run.run` with record, loggers and checkpoint, timed from the start of the fit to its end; observations are
left out on both sides. A ratio of 1 means that the harness costs nothing.

Command: python benchmarks/harness_against_loop.py (about 3 minutes on one core)
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from importlib.metadata import version
from typing import Any

import torch

from normlab.assembly import assemble
from normlab.composing import composed
from normlab.run import run

NETWORKS = {"deep_cnn": ("tf_layers", 150), "convnet": ("slim", 1500), "mlp": ("batch_norm_1d", 5000)}
"""Experiment → normalizer and steps of one timing, some seconds each."""


def settings_for(experiment: str, normalizer: str, steps: int, data: str, root: str) -> tuple[Any, Any]:
    return composed(
        f"experiment={experiment}",
        f"normalizer={normalizer}",
        f"steps={steps}",
        f"data={data}",
        f"output_root={root}",
        *(f"observe.{name}=null" for name in ("val", "train_batch", "test_batch")),
        "evaluate.splits=[]",
        "evaluate.one_by_one=0",
    )


def harness(experiment: str, normalizer: str, steps: int, data: str) -> float:
    """Return the steps per second of one run."""
    with tempfile.TemporaryDirectory() as root:
        record = run(*settings_for(experiment, normalizer, steps, data, root))
    assert record.steps_per_second is not None
    return record.steps_per_second


def loop_by_hand(experiment: str, normalizer: str, steps: int, data: str) -> float:
    """Return the steps per second of the plain loop."""
    parts = assemble(settings_for(experiment, normalizer, steps, data, "unused")[0])
    network, objective = parts.network.train(), parts.objective
    optimizer = parts.optimizer(network.parameters())
    start = time.perf_counter()
    for step in range(steps):
        images, labels = parts.batches.batch(step)
        optimizer.zero_grad()
        objective(network(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return steps / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="timings of each side (default: 5)")
    parser.add_argument("--data", default="mnist", help="config choice of the data (default: mnist)")
    arguments = parser.parse_args()
    lightning = version("pytorch-lightning")
    print(f"{platform.platform()}, {os.cpu_count()} cores, torch {torch.__version__}, lightning {lightning}")
    print(f"{'network':<10} {'harness':>9} {'by hand':>9}   ratio, median (min – max) of {arguments.rounds}")
    for network, (normalizer, steps) in NETWORKS.items():
        sides = [
            (
                harness(network, normalizer, steps, arguments.data),
                loop_by_hand(network, normalizer, steps, arguments.data),
            )
            for _ in range(arguments.rounds)
        ]
        ratios = [ours / by_hand for ours, by_hand in sides]
        ours, by_hand = (statistics.median(side) for side in zip(*sides, strict=True))
        print(
            f"{network:<10} {ours:>7.1f}/s {by_hand:>7.1f}/s   {statistics.median(ratios):.3f}"
            f" ({min(ratios):.3f} – {max(ratios):.3f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
