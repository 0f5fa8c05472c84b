"""Input preprocessing: centring, standardizing, rescaling, PCA and whitening, each with its exact inverse.

Statistics come from the training split alone. Each class works on float features (N, …) of any shape after
the first axis; a feature is one position of that shape (one pixel). Statistics are taken in float64 and kept
in the type and on the device of the features they were fitted to.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from normlab.data.splits import Split, Splits


def unit_interval(images: Tensor) -> Tensor:
    """Return uint8 pixels 0–255 as float32 in [0, 1]: what all preprocessing starts from."""
    return images / 255.0


class Unit:
    """Pixels in [0, 1] as they are."""

    def fit(self, features: Tensor) -> "Unit":
        return self

    def transform(self, features: Tensor) -> Tensor:
        return features

    def inverse(self, features: Tensor) -> Tensor:
        return features


class _Elementwise:
    """(x − offset) / scale for each feature by itself; a subclass says what offset and scale are."""

    offset: Tensor
    scale: Tensor

    def transform(self, features: Tensor) -> Tensor:
        return (features - self.offset) / self.scale

    def inverse(self, features: Tensor) -> Tensor:
        return features * self.scale + self.offset


class Center(_Elementwise):
    """x − mean, for each feature."""

    def fit(self, features: Tensor) -> "Center":
        self.offset = features.double().mean(dim=0).to(features)
        self.scale = torch.ones_like(self.offset)
        return self


class Standardize(_Elementwise):
    """(x − mean) / standard deviation, for each feature; one that never varies is centred alone."""

    def fit(self, features: Tensor) -> "Standardize":
        variance, mean = torch.var_mean(features.double(), dim=0, correction=0)
        never_varies = features.amin(dim=0) == features.amax(dim=0)
        self.offset = mean.to(features)
        self.scale = variance.sqrt().masked_fill(never_varies, 1.0).to(features)
        return self


class MinMax(_Elementwise):
    """Each feature rescaled so that its training values span [−1, 1]; one that never varies becomes 0."""

    def fit(self, features: Tensor) -> "MinMax":
        smallest, largest = features.amin(dim=0).double(), features.amax(dim=0).double()
        self.offset = ((largest + smallest) / 2).to(features)
        self.scale = ((largest - smallest) / 2).masked_fill(largest == smallest, 1.0).to(features)
        return self


class Rotation:
    """x' = (x − mean) · forward, over flattened features; a subclass says what the matrix and its inverse are."""

    mean: Tensor
    forward: Tensor
    backward: Tensor

    def principal_axes(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Keep the mean; return the variances (D,), largest first, and the axes (D, D) as columns.

        A variance that is nothing but the rounding of the mean or of the decomposition is returned as 0.
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
    """Centred features turned onto their principal axes, largest variance first; none is dropped."""

    def fit(self, features: Tensor) -> "PCA":
        _, axes = self.principal_axes(features)
        self.forward, self.backward = axes.to(features), axes.T.to(features)
        return self


class ZCA(Rotation):
    """Whitening that stays closest to the input (Bell and Sejnowski, 1997): axes · (variances + eps)^−½ · axesᵀ.

    Args:
        eps: variance added before the division, in squared units of the features, so that directions
            which hardly vary are not blown up. A direction that never varies is left as it is.
    """

    def __init__(self, eps: float = 1e-5) -> None:
        if eps <= 0:
            raise ValueError(f"eps must be positive, got {eps}")
        self.eps = eps

    def fit(self, features: Tensor) -> "ZCA":
        variances, axes = self.principal_axes(features)
        deviations = (variances + self.eps).sqrt().masked_fill(variances == 0, 1.0)
        self.forward = (axes / deviations @ axes.T).to(features)
        self.backward = (axes * deviations @ axes.T).to(features)
        return self


Preprocess = Callable[[Tensor], Tensor]
"""From uint8 images to the inputs of the network."""

Preprocessing = Unit | Center | Standardize | MinMax | PCA | ZCA


def fit_preprocessing(preprocessing: Preprocessing, train: Split) -> Preprocess:
    """Fit to the training split; return the function from uint8 images to the inputs of the network."""
    if isinstance(preprocessing, Unit):
        return unit_interval  # nothing to fit, so the whole split need not be converted to floating-point
    preprocessing.fit(unit_interval(train.images))
    return lambda images: preprocessing.transform(unit_interval(images))


def transform_splits(splits: Splits, preprocess: Preprocess, size: int = 1_000) -> Splits:
    """Replace the uint8 images of the splits by the inputs of the network, preprocessed `size` at a time."""
    return Splits(
        *(
            Split(torch.cat([preprocess(images) for images in torch.split(split.images, size)]), split.labels)
            for split in (splits.train, splits.val, splits.test)
        )
    )
