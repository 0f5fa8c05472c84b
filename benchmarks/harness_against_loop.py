"""What the harness costs: updates per second of whole runs against a loop written by hand, in one process, in turn.

Both sides train the same network on the same batches with the same optimizer and threads, and observe the same at
the same updates, as the shipped experiments do. The run is one of `normlab.run.run`, its `seconds` as recorded: with
record, loggers and checkpoints. The loop prints and keeps nothing. A ratio of 1 means that the harness costs nothing.

Command: python benchmarks/harness_against_loop.py (about 15 minutes on one core)
"""

import argparse
import statistics
import tempfile
import time
from typing import Any

import torch
from paired import in_turn, print_machine, ratio
from torch import Tensor, nn

from normlab.assembly import Parts, assemble
from normlab.composing import composed
from normlab.data import Split
from normlab.normalizer_statistics import normalizer_statistics
from normlab.run import run

NETWORKS = {"deep_cnn": ("tf_layers", 400), "convnet": ("slim", 2000), "mlp": ("batch_norm_1d", 10_000)}
"""Experiment → normalizer beside none, and updates of one timing, of which the share observed is the experiment's."""


def settings_for(experiment: str, normalizer: str, steps: int, root: str) -> tuple[Any, Any]:
    """Return what a run takes, without the final evaluation, which no side is timed for."""
    return composed(
        f"experiment={experiment}",
        f"normalizer={normalizer}",
        f"steps={steps}",
        f"output_root={root}",
        "evaluate.splits=[]",
        "evaluate.one_by_one=0",
    )


def harness(experiment: str, normalizer: str, steps: int) -> float:
    """Return the updates per second of one run."""
    with tempfile.TemporaryDirectory() as root:
        record = run(*settings_for(experiment, normalizer, steps, root))
    assert record.steps_per_second is not None
    return record.steps_per_second


def loop_by_hand(experiment: str, normalizer: str, steps: int) -> float:
    """Return the updates per second of the plain loop."""
    parts = assemble(settings_for(experiment, normalizer, steps, "unused")[0])
    network, objective = parts.network.train(), parts.objective
    due = {name: set(filter(when.is_due, range(1, steps + 1))) for name, when in parts.schedules.items()}
    start = time.perf_counter()
    optimizer = parts.optimizer(network.parameters())
    for step in range(steps):
        images, labels = parts.batches.batch(step)
        optimizer.zero_grad()
        objective(network(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step + 1 in due.get("train_batch", ()):
            score(network, objective, *parts.batches.batch(step))
        if step + 1 in due.get("test_batch", ()):
            score(network, objective, *parts.test_batches.batch(step))
        if step + 1 in due.get("val", ()):
            score_split(parts, parts.splits.val)
        if step + 1 in due.get("normalizers", ()):
            normalizer_statistics(network, parts.preprocess(parts.splits.train.images[:1000]))
    return steps / (time.perf_counter() - start)


def score(network: nn.Module, objective: Any, images: Tensor, labels: Tensor) -> tuple[float, int]:
    network.eval()
    with torch.no_grad():
        logits = network(images)
        found = float(objective(logits, labels)), int((logits.argmax(dim=1) == labels).sum())
    network.train()
    return found


def score_split(parts: Parts, split: Split) -> tuple[float, float]:
    loss, correct = 0.0, 0
    for start in range(0, len(split.labels), 1000):
        images, labels = (part[start : start + 1000] for part in split)
        of_pass = score(parts.network, parts.objective, parts.preprocess(images), labels)
        loss, correct = loss + of_pass[0] * len(labels), correct + of_pass[1]
    return loss / len(split.labels), correct / len(split.labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="timings of each side (default: 5)")
    arguments = parser.parse_args()
    print_machine("torch", "pytorch-lightning")
    print(f"network   normalizer       harness    by hand   harness ÷ loop, median (min – max) of {arguments.rounds}")
    for network, (normalizer, steps) in NETWORKS.items():
        for choice in ("none", normalizer):
            sides = {
                "harness": lambda network=network, choice=choice, steps=steps: harness(network, choice, steps),
                "by hand": lambda network=network, choice=choice, steps=steps: loop_by_hand(network, choice, steps),
            }
            found = in_turn(sides, arguments.rounds)
            ours, by_hand = (statistics.median(speeds) for speeds in found.values())
            told = ratio(found["harness"], found["by hand"])
            print(f"{network:<9} {choice:<14} {ours:>7.1f}/s  {by_hand:>7.1f}/s   {told}", flush=True)


if __name__ == "__main__":
    main()
