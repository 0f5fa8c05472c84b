"""Input preprocessing: centring, standardizing, rescaling, PCA and whitening, each with its exact inverse.

Each class takes float features (N, …) of any shape; a feature is one position after the first axis (one pixel).
Statistics come from the training split only. They are computed in float64 and kept in the type and on the device
of the features.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from normlab.data.limits import require_memory
from normlab.data.splits import Split, Splits
from normlab.data.tasks import CLASSIFICATION, Task


class Unit:
    """Pixels in [0, 1], unchanged."""

    def fit(self, features: Tensor) -> "Unit":
        return self

    def transform(self, features: Tensor) -> Tensor:
        return features

    def inverse(self, features: Tensor) -> Tensor:
        return features


class _Elementwise:
    """(x − offset) / scale per feature; subclasses fit offset and scale."""

    offset: Tensor
    scale: Tensor

    def transform(self, features: Tensor) -> Tensor:
        return (features - self.offset) / self.scale

    def inverse(self, features: Tensor) -> Tensor:
        return features * self.scale + self.offset


class Center(_Elementwise):
    """x − mean per feature."""

    def fit(self, features: Tensor) -> "Center":
        self.offset = features.double().mean(dim=0).to(features)
        self.scale = torch.ones_like(self.offset)
        return self


class Standardize(_Elementwise):
    """(x − mean) / standard deviation per feature; constant features are only centred."""

    def fit(self, features: Tensor) -> "Standardize":
        variance, mean = torch.var_mean(features.double(), dim=0, correction=0)
        constant = features.amin(dim=0) == features.amax(dim=0)
        self.offset = mean.to(features)
        self.scale = variance.sqrt().masked_fill(constant, 1.0).to(features)
        return self


class MinMax(_Elementwise):
    """Each feature rescaled to [−1, 1] by its training minimum and maximum; constant features become 0."""

    def fit(self, features: Tensor) -> "MinMax":
        smallest, largest = features.amin(dim=0).double(), features.amax(dim=0).double()
        self.offset = ((largest + smallest) / 2).to(features)
        self.scale = ((largest - smallest) / 2).masked_fill(largest == smallest, 1.0).to(features)
        return self


class Rotation:
    """(x − mean) · forward on flattened features; subclasses fit the matrix and its inverse."""

    mean: Tensor
    forward: Tensor
    backward: Tensor

    def fit_principal_axes(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Fit the mean; return the variances (D,), largest first, and the axes (D, D) as columns.

        Variances within the rounding error of the mean or of the decomposition are returned as 0.
        """
        flat = features.flatten(start_dim=1).double()
        mean = flat.mean(dim=0)
        self.mean = mean.to(features)
        flat = flat - mean
        variances, axes = torch.linalg.eigh(flat.T @ flat / len(flat))
        rounding = torch.maximum(variances[-1] * 1e-12, (torch.finfo(torch.float64).eps * mean).square().sum())
        return variances.masked_fill(variances <= rounding, 0.0).flip(0), axes.flip(1)

    def transform(self, features: Tensor) -> Tensor:
        return ((features.flatten(start_dim=1) - self.mean) @ self.forward).view_as(features)

    def inverse(self, features: Tensor) -> Tensor:
        return (features.flatten(start_dim=1) @ self.backward + self.mean).view_as(features)


class PCA(Rotation):
    """Centred features rotated onto all principal axes, largest variance first."""

    def fit(self, features: Tensor) -> "PCA":
        _, axes = self.fit_principal_axes(features)
        self.forward, self.backward = axes.to(features), axes.T.to(features)
        return self


class ZCA(Rotation):
    """Whitening that stays closest to the input (Bell and Sejnowski, 1997): axes · (variances + eps)^−½ · axesᵀ.

    Args:
        eps: added to the variances, in squared units of the features, so that directions of small variance are
            not amplified. Directions of zero variance are left unchanged.
    """

    def __init__(self, eps: float = 1e-5) -> None:
        if eps <= 0:
            raise ValueError(f"eps must be positive, got {eps}")
        self.eps = eps

    def fit(self, features: Tensor) -> "ZCA":
        variances, axes = self.fit_principal_axes(features)
        deviations = (variances + self.eps).sqrt().masked_fill(variances == 0, 1.0)
        self.forward = (axes / deviations @ axes.T).to(features)
        self.backward = (axes * deviations @ axes.T).to(features)
        return self


Preprocess = Callable[[Tensor], Tensor]
"""From the inputs of a split, such as uint8 images, to those of the network."""

Preprocessing = Unit | Center | Standardize | MinMax | PCA | ZCA


def fit_preprocessing(preprocessing: Preprocessing, train: Split, task: Task = CLASSIFICATION) -> Preprocess:
    """Fit to the training split and return the function from its inputs to those of the network.

    Raises ValueError if the inputs are no floating-point numbers after `Task.prepare`, such as tokens, and DataError if
    they would be larger than the free memory.
    """
    if isinstance(preprocessing, Unit):
        return task.prepare  # nothing to fit, so the split need not be converted to floating point
    require_memory(
        (4 + 8) * train.inputs.numel(),
        f"{type(preprocessing).__name__}: the training inputs in float32 and float64",
        "choose preprocessing=unit, or fewer or smaller examples",
        train.inputs.device,
    )
    features = task.prepare(train.inputs)
    if not features.is_floating_point():
        raise ValueError(f"inputs of {type(task).__name__} have no features to preprocess: choose preprocessing=unit")
    preprocessing.fit(features)
    return lambda inputs: preprocessing.transform(task.prepare(inputs))


def transform_splits(splits: Splits, preprocess: Preprocess, size: int = 1_000) -> Splits:
    """Replace inputs by those of the network, preprocessing `size` at a time."""
    train, val, test = (
        Split(torch.cat([preprocess(inputs) for inputs in torch.split(split.inputs, size)]), split.targets)
        for split in (splits.train, splits.val, splits.test)
    )
    return Splits(train, val, test, splits.task, splits.score_every)
