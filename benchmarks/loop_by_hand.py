"""The loop that a user would write by hand for a shipped experiment: it observes the same, and keeps nothing."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from normlab.config.compose import compose
from normlab.data import Split
from normlab.measurements.normalizer_statistics import measure_normalizers
from normlab.runs.run import Run
from normlab.training.build import Parts, build

UNOBSERVED = tuple(f"observe.{name}=null" for name in ("val", "train_batch", "test_batch", "normalizers"))
"""Overrides after which the experiments measure nothing while they train."""


def read_run(experiment: str, normalizer: str, *overrides: str) -> Run:
    """Return one run of an experiment without its final evaluation, which no side is timed for."""
    return compose(
        f"experiment={experiment}",
        f"normalizer={normalizer}",
        "evaluate.splits=[]",
        "evaluate.one_by_one=0",
        *overrides,
    )


def loop_by_hand(settings: Mapping[str, Any], change: Callable[[nn.Module], None] | None = None) -> float:
    """Return the updates per second of the plain loop, over the network that `change` has been at."""
    parts = build(settings)
    if change is not None:
        change(parts.module.network)
    steps = settings["steps"]
    network, objective = parts.module.network.to(parts.device).train(), parts.module.objective
    due = {name: set(filter(when.is_due, range(1, steps + 1))) for name, (when, _) in parts.observations.items()}
    start = time.perf_counter()
    optimizer = parts.module.make_optimizer(network.parameters())
    for step in range(steps):
        images, labels = parts.module.batches.batch(step)
        optimizer.zero_grad()
        objective(network(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step + 1 in due.get("train_batch", ()):
            score(network, objective, *parts.module.batches.batch(step))
        if step + 1 in due.get("test_batch", ()):
            score(network, objective, *parts.test_batches.batch(step))
        if step + 1 in due.get("val", ()):
            score_split(parts, parts.data.splits.val)
        if step + 1 in due.get("normalizers", ()):
            measure_normalizers(network, parts.data.preprocess(parts.data.splits.train.inputs[:1000]))
    if parts.device.type == "cuda":
        torch.cuda.synchronize()
    return float(steps / (time.perf_counter() - start))


def score(network: nn.Module, objective: Any, images: Tensor, labels: Tensor) -> tuple[float, int]:
    network.eval()
    with torch.no_grad():
        logits = network(images)
        found = float(objective(logits, labels)), int((logits.argmax(dim=1) == labels).sum())
    network.train()
    return found


def score_split(parts: Parts, split: Split) -> tuple[float, float]:
    loss, correct = 0.0, 0
    for start in range(0, len(split.targets), 1000):
        images, labels = (part[start : start + 1000] for part in split)
        of_pass = score(parts.module.network, parts.module.objective, parts.data.preprocess(images), labels)
        loss, correct = loss + of_pass[0] * len(labels), correct + of_pass[1]
    return loss / len(split.targets), correct / len(split.targets)
