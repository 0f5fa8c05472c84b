"""Samples of a run's inputs before and after preprocessing, for its report."""

import copy
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from normlab.data import Split, Task
from normlab.data.preprocessing import Preprocess, Preprocessing, fit_preprocessing
from normlab.data.tasks import CLASSIFICATION

POINTS = 400
IMAGES = 4

Samples = Mapping[str, NDArray[np.generic]]


def sample_inputs(
    preprocessing: Preprocessing, preprocess: Preprocess, train: Split, task: Task = CLASSIFICATION
) -> Samples:
    """Return sample images and a cloud of 2-D points, before and after preprocessing; nothing without images.

    Args:
        preprocessing: copied and fitted to the cloud.
        preprocess: the function fitted to the training split.
        train: the training split.
        task: of the data set.

    Returns:
        `images` (4, C, H, W) uint8, the first of the training split, and `images_after`; `cloud` and `cloud_after`
        (400, 2), if the preprocessing accepts images of two pixels.
    """
    if train.inputs.ndim != 4:
        return {}
    images = train.inputs[:IMAGES]
    samples = {"images": images.cpu().numpy(), "images_after": preprocess(images).cpu().numpy().astype(np.float16)}
    cloud = _draw_cloud()
    try:
        unlabelled = Split(cloud, torch.zeros(POINTS, dtype=torch.int64))
        after = fit_preprocessing(copy.deepcopy(preprocessing), unlabelled, task)(cloud)
    except (ValueError, RuntimeError, TypeError):  # custom preprocessing for one image size
        return samples
    for name, points in (("cloud", task.prepare(cloud)), ("cloud_after", after)):
        samples[name] = points.flatten(start_dim=1).numpy().astype(np.float32)
    return samples


def _draw_cloud() -> Tensor:
    """Draw points (400, 1, 1, 2) of two correlated features with nonzero means and unequal variances, as pixels."""
    draws = torch.randn(POINTS, 2, generator=torch.Generator().manual_seed(0))
    points = draws @ torch.tensor([[0.14, 0.06], [0.0, 0.05]]) + torch.tensor([0.6, 0.35])
    return (points * 255).round().clamp(0, 255).to(torch.uint8).view(POINTS, 1, 1, 2)
