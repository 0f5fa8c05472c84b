"""Batch normalization by a mean absolute deviation, or by another norm in place of the standard deviation."""

import math

from torch import Tensor

from normlab.normalizers.affine import broadcast
from normlab.normalizers.batch_statistics import BatchStatisticsNormalizer


class LpBatchNorm(BatchStatisticsNormalizer):
    """L_p batch normalization (Santurkar et al., 2018, arXiv:1805.11604, section 3.3).

    (x − μ_B) / s with s = factor · (mean |x − μ_B|^p + eps)^(1/p), for p = inf factor · (max |x − μ_B| + eps), over the
    batch and all positions. With p = 2 and factor 1 training is that of batch normalization. The running averages are
    those of μ_B and of s, a scale and no variance, for which inference has no eps to add.

    Args:
        num_features: number of channels C.
        p: order of the norm, at least 1, or inf.
        factor: of the norm. With p = 1 and √(π/2) the scale of a normal distribution is its standard deviation
            (Hoffer et al., 2018, arXiv:1803.01814, section 4).
        momentum: weight of the batch in the running averages.
        eps: added before the root.
        scale, shift, initial_scale, initial_shift: see `AffineNormalizer`.

    Raises:
        ValueError: p is below 1, the factor no positive number, or as in `BatchNorm`.
    """

    linear_bias = False
    running_scale: Tensor

    def __init__(
        self,
        num_features: int,
        p: float = 1.0,
        factor: float = 1.0,
        momentum: float = 0.1,
        eps: float = 1e-5,
        scale: bool = True,
        shift: bool = True,
        initial_scale: float = 1.0,
        initial_shift: float = 0.0,
    ) -> None:
        super().__init__(num_features, momentum, eps, scale, shift, initial_scale, initial_shift)
        self.p, self.factor = p, factor
        if not p >= 1:
            raise ValueError(f"p must be at least 1, got {p}: below, the triangle inequality does not hold")
        if not 0 < factor < math.inf:
            raise ValueError(f"factor must be a positive number, got {factor}")
        self.register_averages(running_mean=0.0, running_scale=1.0)

    def normalize_with_batch_statistics(self, inputs: Tensor) -> Tensor:
        over = (0, *range(2, inputs.ndim))
        mean = inputs.mean(dim=over)
        centred = inputs - broadcast(mean, inputs)
        if math.isinf(self.p):
            norm = centred.abs().amax(dim=over) + self.eps
        else:
            norm = ((centred.abs() ** self.p).mean(dim=over) + self.eps) ** (1 / self.p)
        self.move_average(self.running_mean, mean)
        self.move_average(self.running_scale, self.factor * norm)
        return self.scale_and_shift(centred / broadcast(self.factor * norm, inputs))

    def normalize_with_population_statistics(self, inputs: Tensor) -> Tensor:
        mean, scale = broadcast(self.running_mean, inputs), broadcast(self.running_scale, inputs)
        return self.scale_and_shift((inputs - mean) / scale)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, p={self.p}, factor={self.factor}"
