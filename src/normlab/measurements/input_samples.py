"""What preprocessing does to a cloud of points and to the first images: samples that a run keeps for its report."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from normlab.data import Split
from normlab.data.preprocessing import Preprocessing, fitted, unit_interval

POINTS = 400
IMAGES = 4


def samples(
    preprocessing: Preprocessing, preprocess: Callable[[Tensor], Tensor], train: Split
) -> dict[str, NDArray[np.generic]]:
    """Return what the report pictures, before and after preprocessing.

    Args:
        preprocessing: to fit to the cloud.
        preprocess: the same, fitted to the training split.
        train: uint8 images (N, C, H, W) and labels.

    Returns:
        `images` (4, C, H, W) uint8 and `images_after`, the first ones of the training split; `cloud` and
        `cloud_after` (400, 2), where the preprocessing takes an image of two pixels.
    """
    images = train.images[:IMAGES]
    found = {"images": images.cpu().numpy(), "images_after": preprocess(images).cpu().numpy().astype(np.float16)}
    cloud = _cloud()
    try:
        after = fitted(preprocessing, Split(cloud, torch.zeros(POINTS, dtype=torch.int64)))(cloud)
    except (ValueError, RuntimeError, TypeError):  # one of a user's own, made for images of some size
        return found
    flat = (points.flatten(start_dim=1).numpy().astype(np.float32) for points in (unit_interval(cloud), after))
    return {**found, **dict(zip(("cloud", "cloud_after"), flat, strict=True))}


def _cloud() -> Tensor:
    """Return points (400, 1, 1, 2) of two correlated features, off the origin and of unequal spread, as pixels."""
    draws = torch.randn(POINTS, 2, generator=torch.Generator().manual_seed(0))
    points = draws @ torch.tensor([[0.14, 0.06], [0.0, 0.05]]) + torch.tensor([0.6, 0.35])
    return (points * 255).round().clamp(0, 255).to(torch.uint8).view(POINTS, 1, 1, 2)
