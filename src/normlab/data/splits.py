"""Result of a data source: three splits of images and labels, as tensors in memory."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Split(NamedTuple):
    """Images and their labels.

    images: uint8 tensor (N, C, H, W), pixels 0–255.
    labels: int64 tensor (N,), classes 0, 1, ….
    """

    images: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Splits:
    """Training, validation and test images of a data set.

    A custom data source may return any object with these three attributes, each a pair (images, labels) of
    tensors or NumPy arrays; `Splits.of` validates and converts it.
    """

    train: Split
    val: Split
    test: Split

    @classmethod
    def of(cls, source: Any) -> "Splits":
        """Validate the result of a data source and convert it to tensors.

        Raises:
            ValueError: images are not uint8 (N, C, H, W), labels do not match them, a split is empty, or the
                splits differ in image shape.
        """
        splits = cls(**{name: _check_split(name, getattr(source, name)) for name in ("train", "val", "test")})
        shapes = {split.images.shape[1:] for split in (splits.train, splits.val, splits.test)}
        if len(shapes) > 1:
            raise ValueError(f"the splits have images of different shapes: {sorted(map(tuple, shapes))}")
        return splits

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of one image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @property
    def num_classes(self) -> int:
        """Number of classes, from the largest training label."""
        return int(self.train.labels.max()) + 1

    def to(self, device: torch.device) -> "Splits":
        return Splits(self.train.to(device), self.val.to(device), self.test.to(device))


def _check_split(name: str, pair: Any) -> Split:
    try:
        images, labels = (torch.as_tensor(part) for part in pair)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"the {name} split is no pair of images and labels: {error}") from error
    if images.ndim != 4 or images.dtype != torch.uint8:
        raise ValueError(
            f"{name} images must be uint8 of shape (N, C, H, W), got {images.dtype} of shape {tuple(images.shape)}"
        )
    if labels.shape != images.shape[:1]:
        raise ValueError(f"{name} labels must have shape ({len(images)},) like their images, got {tuple(labels.shape)}")
    if len(images) == 0:
        raise ValueError(f"the {name} split is empty")
    if labels.is_floating_point() or labels.min() < 0:
        raise ValueError(f"{name} labels must be class numbers 0, 1, …, got {labels.dtype} from {labels.min()}")
    return Split(images, labels.to(torch.int64))
