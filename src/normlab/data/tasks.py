"""Kinds of examples: the checks of a split, the arguments of a model, and measures of its logits."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Metric:
    """Direction and bounds of a measured value. Raises ValueError if the direction is neither higher nor lower."""

    better: Literal["higher", "lower"]
    low: float | None = None
    high: float | None = None
    guess: float | None = None
    """Value of a network that guesses, which a diverged run counts with."""
    resolution: float | None = None
    """Smallest difference between two values, such as 1/N for an accuracy over N examples."""

    def __post_init__(self) -> None:
        if self.better not in ("higher", "lower"):
            raise ValueError(f"better={self.better!r} of a Metric must be 'higher' or 'lower'")


class Task(Protocol):
    """The kind of examples in a data set; a source names its own by an attribute `task` (default: `Classification`).

    Logits are (N, …, K) and targets (N, …): a language model classifies every position.
    """

    def check(self, inputs: Tensor, targets: Tensor) -> None:
        """Raise ValueError unless a split has inputs and targets of this kind."""

    def describe(self, inputs: Tensor, targets: Tensor) -> dict[str, Any]:
        """Return the keyword arguments that a model is built with, from the training split."""

    def count_classes(self, inputs: Tensor, targets: Tensor) -> int:
        """Return K, from the training split."""

    def describe_metrics(self, inputs: Tensor, targets: Tensor) -> Mapping[str, Metric]:
        """Describe each measure, from the training split; its resolution is that of one example or position."""

    def prepare(self, inputs: Tensor) -> Tensor:
        """Return the inputs of a network if there is no preprocessing (`preprocessing=unit`)."""

    def measure(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return measures (N, …) of each example or position, whose means are observed beside the loss."""


class _Classes(ABC):
    """A task whose targets are classes, measured by whether the largest logit is that of the target."""

    @abstractmethod
    def count_classes(self, inputs: Tensor, targets: Tensor) -> int: ...

    def describe_metrics(self, inputs: Tensor, targets: Tensor) -> dict[str, Metric]:
        guess = 1 / self.count_classes(inputs, targets)
        return {"accuracy": Metric("higher", 0.0, 1.0, guess, resolution=1.0)}

    def measure(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        return {"accuracy": logits.argmax(dim=-1) == targets}


class Classification(_Classes):
    """Images with a class each: inputs (N, C, H, W), uint8, targets (N,). Models get `input_shape`, `num_classes`."""

    def check(self, inputs: Tensor, targets: Tensor) -> None:
        if inputs.ndim != 4 or inputs.dtype != torch.uint8:
            raise ValueError(
                f"images must be uint8 of shape (N, C, H, W), got {inputs.dtype} of shape {tuple(inputs.shape)}"
            )
        if targets.shape != inputs.shape[:1]:
            raise ValueError(f"labels must have shape ({len(inputs)},) like their images, got {tuple(targets.shape)}")

    def describe(self, inputs: Tensor, targets: Tensor) -> dict[str, Any]:
        return {"input_shape": tuple(inputs.shape[1:]), "num_classes": self.count_classes(inputs, targets)}

    def count_classes(self, inputs: Tensor, targets: Tensor) -> int:
        return int(targets.max()) + 1

    def prepare(self, inputs: Tensor) -> Tensor:
        """Convert uint8 pixels 0–255 to float32 in [0, 1]."""
        return inputs.to(torch.float32, copy=True).div_(255.0)  # `inputs / 255.0` makes a second, temporary copy


CLASSIFICATION = Classification()


class NextToken(_Classes):
    """Sequences of tokens with the next token of each, integers (N, T). Models get `vocabulary_size` and `context`."""

    def check(self, inputs: Tensor, targets: Tensor) -> None:
        if inputs.ndim != 2 or inputs.is_floating_point() or targets.shape != inputs.shape:
            raise ValueError(
                "tokens and next tokens must be integers of one shape (N, T), got"
                f" {inputs.dtype} of shape {tuple(inputs.shape)} and {targets.dtype} of shape {tuple(targets.shape)}"
            )
        if inputs.dtype in (torch.uint16, torch.uint32, torch.uint64):
            raise ValueError(f"tokens are {inputs.dtype}, which torch hardly computes with: convert them to int64")

    def describe(self, inputs: Tensor, targets: Tensor) -> dict[str, Any]:
        return {"vocabulary_size": self.count_classes(inputs, targets), "context": inputs.shape[1]}

    def count_classes(self, inputs: Tensor, targets: Tensor) -> int:
        return int(max(inputs.max(), targets.max())) + 1

    def prepare(self, inputs: Tensor) -> Tensor:
        return inputs.long()
