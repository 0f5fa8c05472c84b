"""Stream of batches: the batch of step s is a pure function of (seed, s)."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from normlab.data.augmentation import Augmentation
from normlab.data.samplers import Sampler, shuffle
from normlab.data.splits import Split
from normlab.randomness import generator

Batch = tuple[Tensor, Tensor]
"""Inputs of the network (B, …) and targets (B, …), int64."""


class Shard(NamedTuple):
    """One of `world_size` equal parts of a batch, counted from 0."""

    rank: int
    world_size: int


class BatchStream:
    """Batches of preprocessed examples by step.

    Args:
        split: inputs and targets, on the device of the batches.
        preprocess: from the inputs of the split to those of the network.
        batch_size: examples per batch, at most the size of the split.
        steps: number of batches that iteration yields.
        seed: seed of the run.
        name: name of the random stream.
        sampler: chooses the examples.
        augmentation: changes the inputs before they are preprocessed.

    Raises:
        ValueError: batch_size is larger than the split, or sampler or augmentation do not fit it.
    """

    def __init__(
        self,
        split: Split,
        preprocess: Callable[[Tensor], Tensor],
        batch_size: int,
        steps: int,
        seed: int,
        name: str = "train",
        sampler: Sampler = shuffle,
        augmentation: Augmentation | None = None,
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
        self.seed = seed
        self.name = name
        self.augmentation = augmentation
        self.positions = sampler(split.targets, batch_size, seed, name)
        if augmentation is not None:
            augmentation.check(split)

    def indices(self, step: int, shard: Shard | None = None) -> Tensor:
        """Return the positions (B,) in the split of the batch of `step`, or of a shard of it.

        With an augmentation they are (B, 1 + K): after each position the K integers drawn for it in this step.
        """
        indices = self.positions(step)
        if self.augmentation is not None:
            draws = self.augmentation.draw(self.batch_size, generator(self.seed, f"{self.name}/augmentation {step}"))
            indices = torch.cat([indices[:, None], draws.to(indices)], dim=1)
        return indices if shard is None else indices.view(shard.world_size, -1, *indices.shape[1:])[shard.rank]

    def examples(self, indices: Tensor) -> Batch:
        """Return the preprocessed inputs (…, *) and targets (…, *) at indices (…), or (…, 1 + K) if augmented."""
        positions = indices if self.augmentation is None else indices[..., 0]
        inputs = self.split.inputs.index_select(0, positions.flatten())
        if self.augmentation is not None:
            inputs = self.augmentation.apply(inputs, indices[..., 1:].flatten(end_dim=-2))
        inputs = self.preprocess(inputs)
        targets = self.split.targets.index_select(0, positions.flatten())
        return inputs.view(*positions.shape, *inputs.shape[1:]), targets.view(*positions.shape, *targets.shape[1:])

    def batch(self, step: int) -> Batch:
        """Return the preprocessed batch of `step`, counted from 0."""
        return self.examples(self.indices(step))

    def __deepcopy__(self, memo: object) -> "BatchStream":
        return self  # a copy of a module would copy the data, which nobody changes

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        return (self.batch(step) for step in range(self.steps))
