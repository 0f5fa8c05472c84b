"""Samples of a run's inputs before and after preprocessing, which its report shows."""

import copy
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from normlab.data import Split
from normlab.data.preprocessing import Preprocess, Preprocessing, fit_preprocessing, unit_interval

POINTS = 400
IMAGES = 4

Samples = Mapping[str, NDArray[np.generic]]


def sample_inputs(preprocessing: Preprocessing, preprocess: Preprocess, train: Split) -> Samples:
    """Return images and a cloud of points, before and after preprocessing.

    Args:
        preprocessing: a copy of it is fitted to the cloud.
        preprocess: the function that it fitted to the training split.
        train: uint8 images (N, C, H, W) and labels.

    Returns:
        `images` (4, C, H, W) uint8 and `images_after`, the first of the training split; `cloud` and `cloud_after`
        (400, 2), if the preprocessing takes an image of two pixels.
    """
    images = train.images[:IMAGES]
    samples = {"images": images.cpu().numpy(), "images_after": preprocess(images).cpu().numpy().astype(np.float16)}
    cloud = _draw_cloud()
    try:
        after = fit_preprocessing(copy.deepcopy(preprocessing), Split(cloud, torch.zeros(POINTS, dtype=torch.int64)))(
            cloud
        )
    except (ValueError, RuntimeError, TypeError):  # a user's own, made for images of some size
        return samples
    for name, points in (("cloud", unit_interval(cloud)), ("cloud_after", after)):
        samples[name] = points.flatten(start_dim=1).numpy().astype(np.float32)
    return samples


def _draw_cloud() -> Tensor:
    """Return points (400, 1, 1, 2) of two correlated features, off the origin and of unequal spread, as pixels."""
    draws = torch.randn(POINTS, 2, generator=torch.Generator().manual_seed(0))
    points = draws @ torch.tensor([[0.14, 0.06], [0.0, 0.05]]) + torch.tensor([0.6, 0.35])
    return (points * 255).round().clamp(0, 255).to(torch.uint8).view(POINTS, 1, 1, 2)
