"""Loss and the measures of a task in inference mode, in which normalizers use running averages."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from normlab.data.batches import Batch
from normlab.data.splits import Split, Splits
from normlab.data.tasks import Metric, Task
from normlab.measurements.contract import Objective, State

BATCH_SIZE = 1_000
"""Examples per forward pass over a whole split: large enough for speed, small enough for the CPU caches."""

Value = TypeVar("Value")


class SplitScore:
    """Score of a whole split, as `<split>/loss`, `<split>/accuracy` and so on."""

    def __init__(self, split: str, splits: Splits) -> None:
        self.split = split
        self.metrics = _describe(split, splits, splits.select_scored(split).targets.numel())

    def measure(self, state: State) -> dict[str, float]:
        scored = state.splits.select_scored(self.split)
        return _prefix(self.split, _score(state, iterate_split(scored, state.preprocess)))


class BatchScore:
    """Score of a batch: of the latest training batch with the updated weights, or of the next one of the test split."""

    def __init__(self, name: str, splits: Splits, batch_size: int) -> None:
        self.name = name
        targets = (splits.test if name == "test_batch" else splits.train).targets
        self.metrics = _describe(name, splits, targets[:batch_size].numel())

    def measure(self, state: State) -> dict[str, float]:
        is_test = self.name == "test_batch"
        batch = state.test_batches.batch(state.count) if is_test else state.batches.batch(state.batches_done - 1)
        return _prefix(self.name, _score(state, [batch]))


class OneByOneScore:
    """Measures of the first test examples at batch size 1, as `test/one_by_one_accuracy` and so on.

    They fail if population statistics are wrong: a single example has no batch to hide behind.
    """

    def __init__(self, examples: int, splits: Splits) -> None:
        self.examples = examples
        self.metrics = _describe("test/one_by_one", splits, splits.test.targets[:examples].numel(), "_")
        del self.metrics["test/one_by_one_loss"]

    def measure(self, state: State) -> dict[str, float]:
        first = Split(*(part[: self.examples] for part in state.splits.test))
        found = _score(state, iterate_split(first, state.preprocess, size=1))
        del found["loss"]
        return _prefix("test/one_by_one", found, "_")


@contextmanager
def inference_mode(network: nn.Module) -> Iterator[None]:
    """Switch to evaluation mode without gradients; restore each module's mode afterwards."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def score(network: nn.Module, objective: Objective, task: Task, batches: Iterable[Batch]) -> dict[str, float]:
    """Score a network in inference mode over batches of any size, weighting all examples and positions equally.

    Returns:
        Mean `loss`, and the mean of each measure of the task, such as `accuracy`.
    """
    totals: dict[str, float] = {"loss": 0.0}
    count = 0
    with inference_mode(network):
        for inputs, targets in batches:
            logits = network(inputs)
            totals["loss"] += objective(logits, targets).item() * targets.numel()
            for name, values in task.measure(logits, targets).items():
                totals[name] = totals.get(name, 0.0) + float(values.sum(dtype=torch.float64))
            count += targets.numel()
    return {name: total / count for name, total in totals.items()}


def iterate_split(split: Split, preprocess: Callable[[Tensor], Tensor], size: int = BATCH_SIZE) -> Iterator[Batch]:
    """Yield a whole split in order, preprocessed, `size` examples at a time."""
    for start in range(0, len(split.targets), size):
        yield preprocess(split.inputs[start : start + size]), split.targets[start : start + size]


def _describe(prefix: str, splits: Splits, count: int, separator: str = "/") -> dict[str, Metric]:
    """Describe the loss and the measures of a task as means over a number of examples or positions."""
    metrics = {"loss": Metric("lower")}
    for name, metric in splits.task.describe_metrics(*splits.train).items():
        resolution = None if metric.resolution is None else metric.resolution / count
        metrics[name] = replace(metric, resolution=resolution)
    return _prefix(prefix, metrics, separator)


def _score(state: State, batches: Iterable[Batch]) -> dict[str, float]:
    return score(state.network, state.objective, state.splits.task, batches)


def _prefix(prefix: str, values: Mapping[str, Value], separator: str = "/") -> dict[str, Value]:
    return {f"{prefix}{separator}{name}": value for name, value in values.items()}
