"""Stream of batches: the batch of step s is a pure function of (seed, s)."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from normlab.data.splits import Split
from normlab.randomness import generator

Batch = tuple[Tensor, Tensor]
"""Inputs of the network (B, …) and targets (B, …), int64."""


class Shard(NamedTuple):
    """One of `world_size` equal parts of a batch, counted from 0."""

    rank: int
    world_size: int


class BatchStream:
    """Batches drawn as by `next_batch` of TensorFlow's MNIST tutorial reader.

    Each epoch is a new shuffle. The batch that crosses the end of an epoch combines the rest of one shuffle with
    the start of the next, so every batch has `batch_size` examples.

    Args:
        split: inputs and targets, on the device of the batches.
        preprocess: from the inputs of the split to those of the network.
        batch_size: examples per batch, at most the size of the split.
        steps: number of batches that iteration yields.
        seed: seed of the run.
        name: name of the random stream.

    Raises:
        ValueError: batch_size is larger than the split.
    """

    def __init__(
        self,
        split: Split,
        preprocess: Callable[[Tensor], Tensor],
        batch_size: int,
        steps: int,
        seed: int,
        name: str = "train",
    ) -> None:
        if not 1 <= batch_size <= len(split.targets):
            raise ValueError(
                f"batch_size is {batch_size}, but the {name} split has {len(split.targets)} examples:"
                f" choose 1 to {len(split.targets)}"
            )
        self.split = split
        self.preprocess = preprocess
        self.batch_size = batch_size
        self.steps = steps
        # A batch that crosses an epoch needs two shuffles; caching both spares a shuffle per step.
        self.shuffle = lru_cache(maxsize=2)(
            lambda epoch: torch.randperm(len(split.targets), generator=generator(seed, f"{name}/epoch {epoch}")).to(
                split.targets.device
            )
        )

    def indices(self, step: int, shard: Shard | None = None) -> Tensor:
        """Return the positions (B,) in the split of the batch of `step`, or of a shard of it."""
        size = len(self.split.targets)
        epoch, start = divmod(step * self.batch_size, size)
        indices = self.shuffle(epoch)[start : start + self.batch_size]
        if len(indices) < self.batch_size:
            indices = torch.cat([indices, self.shuffle(epoch + 1)[: self.batch_size - len(indices)]])
        return indices if shard is None else indices.view(shard.world_size, -1)[shard.rank]

    def examples(self, indices: Tensor) -> Batch:
        """Return the preprocessed inputs (…, *) and targets (…, *) at positions (…) in the split."""
        inputs = self.preprocess(self.split.inputs.index_select(0, indices.flatten()))
        targets = self.split.targets.index_select(0, indices.flatten())
        return inputs.view(*indices.shape, *inputs.shape[1:]), targets.view(*indices.shape, *targets.shape[1:])

    def batch(self, step: int) -> Batch:
        """Return the preprocessed batch of `step`, counted from 0."""
        return self.examples(self.indices(step))

    def __deepcopy__(self, memo: object) -> "BatchStream":
        return self  # a copy of a module would copy the data, which nobody changes

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        return (self.batch(step) for step in range(self.steps))
