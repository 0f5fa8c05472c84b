"""What a GPU gains: single runs with and without a CUDA graph, precisions, populations; and whether bits repeat.

Where there is no GPU nothing is measured, which is said, with exit status 1. What fails is named and left out.

Command: python benchmarks/gpu.py (about 20 minutes)
"""

import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

import population
import torch
from loop_by_hand import loop_by_hand, read_run
from paired import in_turn, print_machine, ratio, working

from normlab.training.run import train

NETWORKS = {"mlp": ("batch_norm_1d", 5_000), "convnet": ("slim", 2_000), "deep_cnn": ("tf_layers", 400)}
"""Experiment → normalizer, and updates of one timing."""

LOOP = "eager loop"
WAYS = {
    "eager": (),
    "CUDA graph": ("accelerator.cuda_graph=true",),
    "CUDA graph, bf16-mixed": ("accelerator.cuda_graph=true", "accelerator.precision=bf16-mixed"),
    "16-mixed": ("accelerator.precision=16-mixed",),
}
GOALS = {("mlp", "CUDA graph"): 3.0}
"""What the ratio to the eager loop is to be at least."""

ROUNDS = 5


def one_run(experiment: str, normalizer: str, *overrides: str) -> tuple[float, bytes]:
    """Return the updates per second of a run on the GPU, and its `metrics.csv`."""
    with tempfile.TemporaryDirectory() as root:
        record = train(
            read_run(
                f"experiment={experiment}",
                f"normalizer={normalizer}",
                "accelerator=gpu",
                f"output_root={root}",
                *overrides,
            )
        )
        metrics = next(Path(root).rglob("metrics.csv")).read_bytes()
    assert record.steps_per_second is not None
    return record.steps_per_second, metrics


def updates_per_second(experiment: str, normalizer: str, *overrides: str) -> float:
    return one_run(experiment, normalizer, *overrides)[0]


def compare(network: str, normalizer: str, updates: int) -> None:
    """Print the updates per second of each way, and what they are of an eager loop's."""
    steps = f"steps={updates}"
    run = read_run(f"experiment={network}", f"normalizer={normalizer}", steps, "accelerator=gpu")
    sides = {way: partial(updates_per_second, network, normalizer, steps, *keys) for way, keys in WAYS.items()}
    found = in_turn(working({LOOP: partial(loop_by_hand, run.settings), **sides}), ROUNDS)
    for way, speeds in found.items():
        goal = f"  (goal: {GOALS[network, way]})" if (network, way) in GOALS else ""
        told = ratio(speeds, found[LOOP]) if LOOP in found else ""
        print(f"{network:<9} {way:<24} {statistics.median(speeds):>8.0f}/s  {told}{goal}", flush=True)


def repeat(network: str, normalizer: str, updates: int) -> None:
    """Print of each way whether two runs that are to be deterministic leave the same bits."""
    for way, keys in WAYS.items():
        asked = (f"steps={updates}", "accelerator.deterministic=true", *keys)
        try:
            first, second = (one_run(network, normalizer, *asked)[1] for _ in range(2))
        except Exception as error:
            told = f"FAILED: {type(error).__name__}: {error}"
        else:
            told = "same bits" if first == second else "OTHER BITS"
        print(f"{network:<9} {way:<24} deterministic: {told}", flush=True)


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("skipped: torch finds no CUDA GPU here, so nothing was measured")
    print_machine("torch", "pytorch-lightning")
    print(torch.cuda.get_device_name())
    print(f"network   way                       median   ÷ eager loop, of {ROUNDS}")
    for network, (normalizer, updates) in NETWORKS.items():
        compare(network, normalizer, updates)
        repeat(network, normalizer, updates)
    population.main()


if __name__ == "__main__":
    main()
