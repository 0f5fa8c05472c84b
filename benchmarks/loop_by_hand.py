"""The loop that a user would write by hand for a run: it observes the same, and keeps nothing."""

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
from normlab.training.schedules import ScheduledRates

UNOBSERVED = tuple(f"observe.{name}=null" for name in ("val", "train_batch", "test_batch", "normalizers"))
"""Overrides after which the experiments measure nothing while they train."""


def read_run(*overrides: str) -> Run:
    """Return a run without its final evaluation, which no side is timed for."""
    return compose("evaluate.splits=[]", "evaluate.one_by_one=0", *overrides)


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
    rates = ScheduledRates(optimizer, parts.module.recipe.schedule, steps)
    for step in range(steps):
        inputs, targets = parts.module.batches.batch(step)
        rates.set(step)
        optimizer.zero_grad()
        objective(network(inputs), targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step + 1 in due.get("train_batch", ()):
            score(parts, *parts.module.batches.batch(step))
        if step + 1 in due.get("test_batch", ()):
            score(parts, *parts.test_batches.batch(step))
        if step + 1 in due.get("val", ()):
            score_split(parts, parts.data.splits.val)
        if step + 1 in due.get("normalizers", ()):
            measure_normalizers(network, parts.data.preprocess(parts.data.splits.train.inputs[:1000]))
    if parts.device.type == "cuda":
        torch.cuda.synchronize()
    return float(steps / (time.perf_counter() - start))


def score(parts: Parts, inputs: Tensor, targets: Tensor) -> dict[str, float]:
    """Return the mean loss and the mean of each measure of the task, in inference mode."""
    network = parts.module.network.eval()
    with torch.no_grad():
        logits = network(inputs)
        measures = parts.data.splits.task.measure(logits, targets)
        found = {name: float(values.float().mean()) for name, values in measures.items()}
        found["loss"] = float(parts.module.objective(logits, targets))
    network.train()
    return found


def score_split(parts: Parts, split: Split) -> dict[str, float]:
    """Return the same of a whole split, in passes of 1,000 examples."""
    totals: dict[str, float] = {}
    for start in range(0, len(split.targets), 1000):
        inputs, targets = (part[start : start + 1000] for part in split)
        for name, value in score(parts, parts.data.preprocess(inputs), targets).items():
            totals[name] = totals.get(name, 0.0) + value * len(targets)
    return {name: total / len(split.targets) for name, total in totals.items()}
