"""Result of a data source: three splits of inputs and targets, as tensors in memory."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from normlab.contracts import require_contract
from normlab.data.limits import require_memory
from normlab.data.tasks import CLASSIFICATION, Task


class Split(NamedTuple):
    """Inputs and their targets, of a kind that the task of the data set defines.

    inputs: tensor (N, …), such as uint8 images (N, C, H, W).
    targets: int64 tensor (N, …) of classes 0, 1, ….
    """

    inputs: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> "Split":
        return Split(_move(self.inputs, device), _move(self.targets, device))


@dataclass(frozen=True)
class Splits:
    """Training, validation and test examples of a data set, and their task.

    A custom data source may return any object with the attributes `train`, `val` and `test`, each a pair (inputs,
    targets) of tensors or NumPy arrays, and optionally `task` and `score_every`; `Splits.of` validates and converts it.
    """

    train: Split
    val: Split
    test: Split
    task: Task = CLASSIFICATION
    score_every: int = 1
    """Training examples from one that is scored to the next: windows of a text overlap."""

    @classmethod
    def of(cls, source: Any) -> "Splits":
        """Validate the result of a data source and convert it to tensors.

        Raises:
            ValueError: a split is missing or empty, the task lacks a member, inputs or targets are not those of the
                task, the splits differ in the shape of an input, or the training split lacks the last classes.
        """
        task = getattr(source, "task", CLASSIFICATION)
        require_contract(task, Task, "the data source has no task")
        train, val, test = (_check_split(name, source, task) for name in ("train", "val", "test"))
        shapes = {split.inputs.shape[1:] for split in (train, val, test)}
        if len(shapes) > 1:
            raise ValueError(f"the splits have inputs of different shapes: {sorted(map(tuple, shapes))}")
        last = task.count_classes(*train) - 1
        for name, split in (("val", val), ("test", test)):
            if (largest := int(split.targets.max())) > last:
                raise ValueError(
                    f"{name} targets have the class {largest}, but the training split has 0 to {last} alone: remove"
                    " these examples, or add some of the class to the training split"
                )
        return cls(train, val, test, task, getattr(source, "score_every", 1))

    def to(self, device: torch.device) -> "Splits":
        """Move all examples to a device. Raises DataError if they are larger than the free memory of a GPU."""
        if device.type == "cuda":
            parts = [part for split in (self.train, self.val, self.test) for part in split]
            needed = sum(min(part.numel() * part.element_size(), part.untyped_storage().nbytes()) for part in parts)
            require_memory(needed, "the data", "use accelerator=cpu, or fewer or smaller examples", device)
        return Splits(self.train.to(device), self.val.to(device), self.test.to(device), self.task, self.score_every)

    def select_scored(self, name: str) -> Split:
        """Return the examples of a split that are scored: all of them, but for the training split's `score_every`."""
        split: Split = getattr(self, name)
        return Split(*(part[:: self.score_every] for part in split)) if name == "train" else split


def _move(tensor: Tensor, device: torch.device) -> Tensor:
    """Move a tensor to a device; windows that overlap stay views of what they share, which a copy would multiply."""
    size = tensor.untyped_storage().nbytes() // tensor.element_size()
    if tensor.device == device or tensor.numel() <= size:
        return tensor.to(device)
    shared = tensor.as_strided((size,), (1,), 0).to(device)
    return shared.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


def _check_split(name: str, source: Any, task: Task) -> Split:
    try:
        inputs, targets = (torch.as_tensor(part) for part in getattr(source, name))
        count = len(inputs)
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"the {name} split is no pair of inputs and targets: {error}") from error
    if count == 0:
        raise ValueError(f"the {name} split is empty")
    try:
        task.check(inputs, targets)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error
    classes = targets.to(torch.int64)  # of which torch computes the minimum, unlike that of uint16
    if targets.is_floating_point() or classes.min() < 0:
        raise ValueError(f"{name} targets must be class numbers 0, 1, …, got {targets.dtype} from {classes.min()}")
    return Split(inputs, classes)
