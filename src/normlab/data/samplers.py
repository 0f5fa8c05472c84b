"""Samplers: the examples of each batch, a pure function of seed and step."""

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from normlab.randomness import generator

Positions = Callable[[int], Tensor]
"""From a step, counted from 0, to the positions (B,) in the split of the examples in its batch."""


class Sampler(Protocol):
    """Chooses the examples of each batch from the targets of a split."""

    def __call__(self, targets: Tensor, batch_size: int, seed: int, name: str) -> Positions:
        """Return the positions of every step, drawn from random streams whose names start with `name`."""


def shuffle(targets: Tensor, batch_size: int, seed: int, name: str) -> Positions:
    """Draw as `next_batch` of TensorFlow's MNIST tutorial reader does.

    Each epoch is a new shuffle. The batch that crosses the end of an epoch combines the rest of one shuffle with
    the start of the next, so every batch has `batch_size` examples.
    """
    size = len(targets)

    @lru_cache(maxsize=2)  # a batch that crosses an epoch needs two shuffles; caching both spares a shuffle per step
    def draw_epoch(epoch: int) -> Tensor:
        return torch.randperm(size, generator=generator(seed, f"{name}/epoch {epoch}")).to(targets.device)

    def draw(step: int) -> Tensor:
        epoch, start = divmod(step * batch_size, size)
        positions = draw_epoch(epoch)[start : start + batch_size]
        if len(positions) < batch_size:
            positions = torch.cat([positions, draw_epoch(epoch + 1)[: batch_size - len(positions)]])
        return positions

    return draw


def by_class(targets: Tensor, batch_size: int, seed: int, name: str, classes: int = 2) -> Positions:
    """Draw each batch from a few classes, equally many examples of each, none twice, in random order.

    Such batches are not independent samples of the data: Ioffe, Batch Renormalization, 2017 (arXiv:1702.03275), section
    4.3, with two images each of 16 classes (`batch_size=32`, `classes=16`).

    Args:
        targets: classes (N,).
        batch_size: B, a multiple of `classes`.
        seed: of the run.
        name: of the random streams.
        classes: number of classes in a batch, drawn in each step.

    Raises:
        ValueError: the targets are no classes of whole examples, `classes` does not divide `batch_size`, or there are
            too few classes, or too few examples of one.
    """
    if targets.ndim != 1:
        raise ValueError("sampler=by_class needs one class per example, which tokens have not: choose sampler=shuffled")
    labels = targets.cpu()
    present, counts = torch.unique(labels, return_counts=True)
    if not 1 <= classes <= len(present):
        raise ValueError(
            f"sampler.classes={classes}, but the {name} split has {len(present)} classes: choose 1 to {len(present)}"
        )
    if batch_size % classes:
        raise ValueError(f"sampler.classes={classes} does not divide batch_size={batch_size}: choose a divisor of it")
    share = batch_size // classes
    if share > counts.min():
        rarest = counts.argmin()
        raise ValueError(
            f"batch_size={batch_size} with sampler.classes={classes} takes {share} examples of a class, but the {name}"
            f" split has {counts[rarest]} of class {present[rarest]}: choose more classes or a smaller batch_size"
        )
    members = torch.split(labels.argsort(stable=True), counts.tolist())

    def draw(step: int) -> Tensor:
        random = generator(seed, f"{name}/by class {step}")
        chosen = [members[number] for number in torch.randperm(len(members), generator=random)[:classes].tolist()]
        drawn = torch.cat([each[torch.randperm(len(each), generator=random)[:share]] for each in chosen])
        # In random order, because each process of a run and each ghost batch takes a part of the batch.
        return drawn[torch.randperm(batch_size, generator=random)].to(targets.device)

    return draw
