"""Loss and the measures of a task in inference mode, in which normalizers use running averages."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from normlab.data.batches import Batch
from normlab.data.splits import Split
from normlab.data.tasks import Task

Objective = Callable[[Tensor, Tensor], Tensor]
"""From logits (N, …, K) and targets (N, …) to the mean loss, a scalar."""

BATCH_SIZE = 1_000
"""Examples per forward pass over a whole split: large enough for speed, small enough for the CPU caches."""


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
