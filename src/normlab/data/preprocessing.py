"""Input preprocessing: centring, standardizing, rescaling, PCA and whitening, each with its exact inverse.

Each class takes float features (N, …) of any shape; a feature is one position after the first axis (one pixel).
Statistics come from the training split only. They are computed in float64 and kept in the type and on the device
of the features.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from normlab.data.splits import Split, Splits


def scale_to_unit(images: Tensor) -> Tensor:
    """Convert uint8 pixels 0–255 to float32 in [0, 1], the input of every preprocessing."""
    return images / 255.0


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
"""From uint8 images to the inputs of the network."""

Preprocessing = Unit | Center | Standardize | MinMax | PCA | ZCA


def fit_preprocessing(preprocessing: Preprocessing, train: Split) -> Preprocess:
    """Fit to the training split and return the function from uint8 images to network inputs."""
    if isinstance(preprocessing, Unit):
        return scale_to_unit  # nothing to fit, so the split need not be converted to floating point
    preprocessing.fit(scale_to_unit(train.images))
    return lambda images: preprocessing.transform(scale_to_unit(images))


def transform_splits(splits: Splits, preprocess: Preprocess, size: int = 1_000) -> Splits:
    """Replace uint8 images by network inputs, preprocessing `size` images at a time."""
    return Splits(
        *(
            Split(torch.cat([preprocess(images) for images in torch.split(split.images, size)]), split.labels)
            for split in (splits.train, splits.val, splits.test)
        )
    )
