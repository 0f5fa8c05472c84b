"""What a GPU gains: single runs with and without a CUDA graph, precisions, populations; and whether bits repeat.

Where there is no GPU nothing is measured, which is said, with exit status 1.

Command: python benchmarks/gpu.py (about 20 minutes)
"""

import statistics
import sys
import tempfile
from pathlib import Path

import population
import torch
from loop_by_hand import loop_by_hand, settings_for
from paired import in_turn, print_machine, ratio

from normlab.run import run

NETWORKS = {"mlp": ("batch_norm_1d", 5_000), "convnet": ("slim", 2_000), "deep_cnn": ("tf_layers", 400)}
"""Experiment → normalizer, and updates of one timing."""

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
        record = run(*settings_for(experiment, normalizer, "accelerator=gpu", f"output_root={root}", *overrides))
        metrics = next(Path(root).rglob("metrics.csv")).read_bytes()
    assert record.steps_per_second is not None
    return record.steps_per_second, metrics


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("skipped: torch finds no CUDA GPU here, so nothing was measured")
    print_machine("torch", "pytorch-lightning")
    print(torch.cuda.get_device_name())
    print(f"network   way                       median   ÷ eager loop, of {ROUNDS}")
    for network, (normalizer, updates) in NETWORKS.items():
        steps = f"steps={updates}"
        settings, _ = settings_for(network, normalizer, steps, "accelerator=gpu")
        sides = {"eager loop": lambda settings=settings: loop_by_hand(settings)} | {
            way: lambda network=network, normalizer=normalizer, keys=(steps, *keys): one_run(
                network, normalizer, *keys
            )[0]
            for way, keys in WAYS.items()
        }
        found = in_turn(sides, ROUNDS)
        for way, speeds in found.items():
            goal = f"  (goal: {GOALS[network, way]})" if (network, way) in GOALS else ""
            told = ratio(speeds, found["eager loop"])
            print(f"{network:<9} {way:<24} {statistics.median(speeds):>8.0f}/s  {told}{goal}", flush=True)
        for way, keys in WAYS.items():
            twice = {one_run(network, normalizer, steps, "accelerator.deterministic=true", *keys)[1] for _ in range(2)}
            print(
                f"{network:<9} {way:<24} deterministic: {'same bits' if len(twice) == 1 else 'OTHER BITS'}", flush=True
            )
    population.main()


if __name__ == "__main__":
    main()
