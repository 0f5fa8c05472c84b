"""Augmentation: random changes of the training images, drawn for each batch."""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from normlab.data.splits import Split


class Augmentation(Protocol):
    """Changes training inputs by integers that are drawn for each example, and by nothing else."""

    def check(self, split: Split) -> None:
        """Raise ValueError, with the remedy, if the inputs of a split cannot be changed."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return integers (count, K), of which each example gets K, from a generator on the CPU."""

    def apply(self, inputs: Tensor, draws: Tensor) -> Tensor:
        """Return the changed inputs (B, …), as they were before preprocessing, by draws (B, K) on their device."""


def keep_images() -> None:
    """Return no augmentation."""


class CropFlip:
    """Pads an image with zeros, crops it to its size at a random place, and flips half of all horizontally.

    The augmentation of He et al., Deep Residual Learning, 2016 (arXiv:1512.03385), section 4.2, for CIFAR-10; as
    `RandomCrop(size, padding)` and `RandomHorizontalFlip()` of torchvision, before the pixels are preprocessed.

    Args:
        padding: rows and columns of zeros on each side.
        flip: whether images are flipped.

    Raises:
        ValueError: padding is negative.
    """

    def __init__(self, padding: int = 4, flip: bool = True) -> None:
        if padding < 0:
            raise ValueError(f"padding={padding} must not be negative")
        self.padding = padding
        self.flip = flip

    def check(self, split: Split) -> None:
        """Raise ValueError for inputs that are no images (N, C, H, W), or that a crop could miss."""
        if split.inputs.ndim != 4:
            raise ValueError(
                "augmentation=crop_flip is for images (N, C, H, W), and these inputs have the shape"
                f" {tuple(split.inputs.shape)}: choose augmentation=none"
            )
        height, width = split.inputs.shape[-2:]
        if self.padding >= min(height, width):
            raise ValueError(
                f"augmentation.padding={self.padding} is no smaller than the images of {height}×{width}, so that a crop"
                f" could miss them: choose 0 to {min(height, width) - 1}"
            )

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return the first row and column of the crop in the padded image, and 1 for a flip, else 0: (count, 3)."""
        corners = torch.randint(2 * self.padding + 1, (count, 2), generator=generator)
        flips = torch.randint(2, (count, 1), generator=generator)
        return torch.cat([corners, flips * self.flip], dim=1)

    def apply(self, inputs: Tensor, draws: Tensor) -> Tensor:
        """Crop and flip images (B, C, H, W) by draws (B, 3)."""
        channels, height, width = inputs.shape[1:]
        top, left, flip = draws[:, :, None].unbind(dim=1)
        rows = top + torch.arange(height, device=draws.device)
        columns = torch.arange(width, device=draws.device)
        columns = left + torch.where(flip > 0, width - 1 - columns, columns)
        padded = pad(inputs, (self.padding,) * 4)
        pixels = (rows[:, :, None] * padded.shape[-1] + columns[:, None]).flatten(start_dim=1)  # (B, H · W)
        return padded.flatten(start_dim=2).gather(2, pixels[:, None].expand(-1, channels, -1)).view_as(inputs)
