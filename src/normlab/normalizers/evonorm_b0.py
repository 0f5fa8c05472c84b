"""EvoNorm-B0: a searched layer that normalizes and is a nonlinearity at once."""

import torch
from torch import Tensor, nn

from normlab.normalizers.affine import broadcast, merge_positions
from normlab.normalizers.batch_statistics import BatchStatisticsNormalizer, compute_moments, make_unbiased


class EvoNormB0(BatchStatisticsNormalizer):
    """EvoNorm-B0 (Liu et al., 2020, arXiv:2004.02967, table 2); names and results are those of timm's `EvoNorm2dB0`.

    γ · x / max(√(s²_batch + eps), v · x + √(s²_example + eps)) + β, with the variance of a feature over the batch (in
    inference its running average) and that over the positions of one example. It replaces normalizer and activation.

    With one position per example, as in inputs (N, C), the variance within an example is 0 and its deviation √eps:
    positive values then saturate at γ / v, negative ones are only divided. The paper has images alone.

    Args:
        num_features: number of channels C.
        momentum: weight of the batch in the running average of the variance, which is unbiased.
        eps: added to variances before the square root.
        scale, shift, initial_scale, initial_shift: see `AffineNormalizer`.

    Raises:
        ValueError: as in `BatchNorm`.
    """

    includes_activation = True

    def __init__(
        self,
        num_features: int,
        momentum: float = 0.1,
        eps: float = 1e-3,
        scale: bool = True,
        shift: bool = True,
        initial_scale: float = 1.0,
        initial_shift: float = 0.0,
    ) -> None:
        super().__init__(num_features, momentum, eps, scale, shift, initial_scale, initial_shift)
        self.v = nn.Parameter(torch.ones(num_features))
        self.register_averages(running_var=1.0)

    def normalize_with_batch_statistics(self, inputs: Tensor) -> Tensor:
        _, variance = compute_moments(inputs)
        self.move_average(self.running_var, make_unbiased(variance, inputs.numel() // self.num_features))
        return self._normalize(inputs, variance)

    def normalize_with_population_statistics(self, inputs: Tensor) -> Tensor:
        return self._normalize(inputs, self.running_var)

    def _normalize(self, inputs: Tensor, variance: Tensor) -> Tensor:
        of_batch = (broadcast(variance, inputs) + self.eps).sqrt()
        of_example = (merge_positions(inputs).var(dim=2, correction=0) + self.eps).sqrt()
        of_example = of_example.view(*inputs.shape[:2], *[1] * (inputs.ndim - 2))
        return self.scale_and_shift(inputs / torch.maximum(of_batch, broadcast(self.v, inputs) * inputs + of_example))
