"""Loss and accuracy in inference mode, in which normalizers use their population statistics."""

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
"""Images scored at once if a whole split is scored: large enough for speed, small enough for the caches."""


class Score(NamedTuple):
    """Mean loss per example, and share of examples whose largest logit is that of their class."""

    loss: float
    accuracy: float


@contextmanager
def inference_mode(network: nn.Module) -> Iterator[None]:
    """Use population statistics and no gradients in this context; each module's previous mode is restored."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def score(network: nn.Module, objective: Objective, batches: Iterable[Batch]) -> Score:
    """Score a network in inference mode over one or more batches of any size, each example counting the same."""
    loss, correct, examples = 0.0, 0, 0
    with inference_mode(network):
        for images, labels in batches:
            logits = network(images)
            loss += objective(logits, labels).item() * len(labels)
            correct += int((logits.argmax(dim=1) == labels).sum())
            examples += len(labels)
    return Score(loss / examples, correct / examples)


def iterate_split(split: Split, preprocess: Callable[[Tensor], Tensor], size: int = BATCH_SIZE) -> Iterator[Batch]:
    """Yield a whole split in its own order, preprocessed, `size` images at a time."""
    for start in range(0, len(split.labels), size):
        yield preprocess(split.images[start : start + size]), split.labels[start : start + size]
