"""Switchable normalization: a learned mixture of instance, layer and batch normalization."""

import torch
from torch import Tensor, nn

from normlab.normalizers.affine import merge_positions
from normlab.normalizers.batch_statistics import BatchStatisticsNormalizer, compute_moments


class SwitchableNorm(BatchStatisticsNormalizer):
    """Switchable normalization (Luo et al., 2018, arXiv:1806.10779, equations 3 to 5).

    (x − Σ w_k μ_k) / √(Σ w'_k σ²_k + eps) over k = instance, layer and batch, with w = softmax(`mean_weight`) and
    w' = softmax(`var_weight`), which start equal. All variances are biased, as is their running average, that of
    batch normalization alone: in inference it replaces the batch's. (The authors' code takes the unbiased variance of
    an instance.)

    With one position per example, as in inputs (N, C), an instance is a single value: its mean is that value and its
    variance 0. It is left out of the mixture, as in the authors' `SwitchNorm1d`.

    Args:
        num_features: number of channels C.
        momentum: weight of the batch in the running averages.
        eps: added to the variance before the square root.
        scale, shift, initial_scale, initial_shift: see `AffineNormalizer`.

    Raises:
        ValueError: as in `BatchNorm`.
    """

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
        super().__init__(num_features, momentum, eps, scale, shift, initial_scale, initial_shift)
        self.mean_weight = nn.Parameter(torch.ones(3))
        self.var_weight = nn.Parameter(torch.ones(3))
        self.register_averages(running_mean=0.0, running_var=1.0)

    def normalize_with_batch_statistics(self, inputs: Tensor) -> Tensor:
        mean, variance = compute_moments(inputs)
        self.move_average(self.running_mean, mean)
        self.move_average(self.running_var, variance)
        return self._normalize(inputs, mean, variance)

    def normalize_with_population_statistics(self, inputs: Tensor) -> Tensor:
        return self._normalize(inputs, self.running_mean, self.running_var)

    def _normalize(self, inputs: Tensor, batch_mean: Tensor, batch_variance: Tensor) -> Tensor:
        x = merge_positions(inputs)
        means, variances = [batch_mean[:, None]], [batch_variance[:, None]]
        for over in ((1, 2), (2,)) if x.shape[2] > 1 else ((1, 2),):  # of layer and instance
            variance, mean = torch.var_mean(x, dim=over, correction=0, keepdim=True)
            means.append(mean)
            variances.append(variance)
        x_hat = (x - _mix(self.mean_weight, means)) / (_mix(self.var_weight, variances) + self.eps).sqrt()
        return self.scale_and_shift(x_hat.view_as(inputs))


def _mix(weights: Tensor, moments: list[Tensor]) -> Tensor:
    """Return the mixture of moments of batch, layer and, unless left out, instance, for weights in reverse order."""
    shares = weights[-len(moments) :].softmax(0).flip(0)
    mixed = shares[0] * moments[0]
    for share, each in zip(shares[1:], moments[1:], strict=True):
        mixed = mixed + share * each
    return mixed
