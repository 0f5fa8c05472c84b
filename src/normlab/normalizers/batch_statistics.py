"""Base of normalizers that take statistics of the batch in training and their running averages in inference."""

import torch
from torch import Tensor

from normlab.normalizers.affine import AffineNormalizer, broadcast, check_eps, widen


class BatchStatisticsNormalizer(AffineNormalizer):
    """Base with running averages new = (1 − momentum)·old + momentum·batch.

    A subclass registers its averages, and implements `normalize_with_batch_statistics`, which also moves them, and
    `normalize_with_population_statistics`, unless the one here serves. Both return scaled and shifted outputs.

    Args:
        num_features: number of channels C.
        momentum: weight of the batch in the running averages.
        eps: added to a variance before the square root.
        scale, shift, initial_scale, initial_shift: see `AffineNormalizer`.

    Raises:
        ValueError: a setting is out of range, an input has the wrong rank or channel count, or a training batch has
            only one value per feature.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        num_features: int,
        momentum: float = 0.1,
        eps: float = 1e-5,
        scale: bool = True,
        shift: bool = True,
        initial_scale: float = 1.0,
        initial_shift: float = 0.0,
    ) -> None:
        super().__init__(num_features, scale, shift, initial_scale, initial_shift)
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must be in [0, 1], got {momentum}: it is the weight of the new batch")
        self.momentum = momentum
        self.eps = check_eps(eps)

    def register_averages(self, **initial_values: float) -> None:
        """Register a buffer (C,) for each name, filled with its initial value."""
        for name, value in initial_values.items():
            self.register_buffer(name, torch.full((self.num_features,), float(value)))

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalize inputs (N, C), (N, C, L) or (N, C, H, W); half precision is computed in float32."""
        self.check_shape(inputs)
        x = widen(inputs)
        if self.training:
            self.check_count(inputs)
            outputs = self.normalize_with_batch_statistics(x)
        else:
            outputs = self.normalize_with_population_statistics(x)
        return outputs.to(inputs.dtype)

    def normalize_with_batch_statistics(self, inputs: Tensor) -> Tensor:
        """Normalize with the statistics of the batch and update the running averages."""
        raise NotImplementedError

    def normalize_with_population_statistics(self, inputs: Tensor) -> Tensor:
        """Return γ · (x − running mean) / √(running variance + eps) + β."""
        mean, variance = broadcast(self.running_mean, inputs), broadcast(self.running_var, inputs)
        return self.scale_and_shift((inputs - mean) / (variance + self.eps).sqrt())

    @torch.no_grad()
    def move_average(self, average: Tensor, of_batch: Tensor) -> None:
        """Move a running average (C,) towards the batch's value (C,)."""
        average.copy_((1 - self.momentum) * average + self.momentum * of_batch)

    def check_count(self, inputs: Tensor) -> None:
        """Raise ValueError unless inputs (N, C, …) have more than one value per feature."""
        if inputs.numel() <= self.num_features:
            raise ValueError(
                f"in training a batch of shape {tuple(inputs.shape)} has at most one value per feature, too few for its"
                " statistics: use a batch of at least two, or eval() to normalize with the population statistics"
            )

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, momentum={self.momentum}, eps={self.eps}"


def compute_moments(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (C,) and biased variance (C,) of each feature of inputs (N, C, …)."""
    variance, mean = torch.var_mean(inputs, dim=(0, *range(2, inputs.ndim)), correction=0)
    return mean, variance


def make_unbiased(variance: Tensor, values: int) -> Tensor:
    """Return the unbiased variance for the biased one of a number of values per feature."""
    return variance * (values / (values - 1))
