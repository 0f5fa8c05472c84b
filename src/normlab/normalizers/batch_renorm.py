"""Batch renormalization: batch normalization corrected, within bounds, towards what inference does."""

import math

import torch
from torch import Tensor

from normlab.normalizers.affine import broadcast
from normlab.normalizers.batch_statistics import BatchStatisticsNormalizer, compute_moments, make_unbiased


class BatchRenorm(BatchStatisticsNormalizer):
    """Batch renormalization (Ioffe, 2017, arXiv:1702.03275, algorithm 1).

    x̂ = (x − μ_B) / σ_B · r + d, with r = σ_B / σ in [1 / r_max, r_max] and d = (μ_B − μ) / σ in [−d_max, d_max] from
    the running averages μ and σ before their update, and no gradient through r and d. Both bounds start as in batch
    normalization (1 and 0) and grow linearly. Where neither is reached, training computes what inference does.

    The paper averages σ_B; here the unbiased variance is averaged, and σ is √(running variance + eps), so that without
    correction the layer is `torch.nn.BatchNorm1d` and `BatchNorm2d`, running averages included.

    Updates are counted as passes in training mode, in the buffer `updates`.

    Args:
        num_features: number of channels C.
        momentum: weight of the batch in the running averages.
        eps: added to variances before the square root.
        r_max: last bound of r.
        d_max: last bound of d.
        start: updates before the bounds start to grow (section 4: 5,000). A run of fewer is batch normalization.
        r_max_step: updates after which r is bounded by `r_max`.
        d_max_step: updates after which d is bounded by `d_max`.
        scale, shift, initial_scale, initial_shift: see `AffineNormalizer`.

    Raises:
        ValueError: a setting is out of range, or as in `BatchNorm`.
    """

    linear_bias = False
    updates: Tensor

    def __init__(
        self,
        num_features: int,
        momentum: float = 0.01,
        eps: float = 1e-5,
        r_max: float = 3.0,
        d_max: float = 5.0,
        start: int = 5000,
        r_max_step: int = 40_000,
        d_max_step: int = 25_000,
        scale: bool = True,
        shift: bool = True,
        initial_scale: float = 1.0,
        initial_shift: float = 0.0,
    ) -> None:
        super().__init__(num_features, momentum, eps, scale, shift, initial_scale, initial_shift)
        if not (1 <= r_max < math.inf and 0 <= d_max < math.inf):
            raise ValueError(f"r_max must be finite and at least 1, d_max finite and at least 0, got {r_max}, {d_max}")
        if not 0 <= start <= min(r_max_step, d_max_step):
            raise ValueError(
                f"start must be at least 0 and at most r_max_step and d_max_step, got {start}, {r_max_step} and"
                f" {d_max_step}: the bounds grow between these updates"
            )
        self.r_max, self.d_max = r_max, d_max
        self.start, self.r_max_step, self.d_max_step = start, r_max_step, d_max_step
        self.register_averages(running_mean=0.0, running_var=1.0)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def normalize_with_batch_statistics(self, inputs: Tensor) -> Tensor:
        mean, variance = compute_moments(inputs)
        deviation = (variance + self.eps).sqrt()
        r, d = self._correct(mean.detach(), deviation.detach())
        self.move_average(self.running_mean, mean)
        self.move_average(self.running_var, make_unbiased(variance, inputs.numel() // self.num_features))
        self.updates.add_(1)
        x_hat = (inputs - broadcast(mean, inputs)) * broadcast(r / deviation, inputs) + broadcast(d, inputs)
        return self.scale_and_shift(x_hat)

    def _correct(self, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
        """Return r (C,) and d (C,) of this update."""
        running_deviation = (self.running_var + self.eps).sqrt()
        r_bound = 1 + (self.r_max - 1) * self._progress(self.r_max_step)
        d_bound = self.d_max * self._progress(self.d_max_step)
        r = (deviation / running_deviation).clamp(1 / r_bound, r_bound)
        d = ((mean - self.running_mean) / running_deviation).clamp(-d_bound, d_bound)
        return r, d

    def _progress(self, end: int) -> Tensor:
        """Return how far a bound that is reached after `end` updates has grown, from 0 to 1."""
        updates = self.updates.to(self.running_var.dtype)
        if end == self.start:
            return (updates >= end).to(updates.dtype)
        return ((updates - self.start) / (end - self.start)).clamp(0, 1)
