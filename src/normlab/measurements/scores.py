"""Loss and accuracy in inference mode, in which normalizers use running averages."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from normlab.data.batches import Batch
from normlab.data.splits import Split

Objective = Callable[[Tensor, Tensor], Tensor]
"""From logits (N, num_classes) and labels (N,) to the mean loss, a scalar."""

BATCH_SIZE = 1_000
"""Images per forward pass over a whole split: large enough for speed, small enough for the CPU caches."""


class Score(NamedTuple):
    """Mean loss per example, and fraction of examples classified correctly."""

    loss: float
    accuracy: float


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


def score(network: nn.Module, objective: Objective, batches: Iterable[Batch]) -> Score:
    """Score a network in inference mode over batches of any size, weighting all examples equally."""
    loss, correct, examples = 0.0, 0, 0
    with inference_mode(network):
        for images, labels in batches:
            logits = network(images)
            loss += objective(logits, labels).item() * len(labels)
            correct += int((logits.argmax(dim=1) == labels).sum())
            examples += len(labels)
    return Score(loss / examples, correct / examples)


def iterate_split(split: Split, preprocess: Callable[[Tensor], Tensor], size: int = BATCH_SIZE) -> Iterator[Batch]:
    """Yield a whole split in order, preprocessed, `size` images at a time."""
    for start in range(0, len(split.labels), size):
        yield preprocess(split.images[start : start + size]), split.labels[start : start + size]
