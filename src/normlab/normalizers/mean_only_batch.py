"""Mean-only batch normalization: features are centred, and their scale is left to the weights."""

from torch import Tensor

from normlab.normalizers.affine import broadcast
from normlab.normalizers.batch_statistics import BatchStatisticsNormalizer


class MeanOnlyBatchNorm(BatchStatisticsNormalizer):
    """Mean-only batch normalization (Salimans and Kingma, 2016, arXiv:1602.07868, section 4): x − μ_B + β.

    The paper joins it with weight normalization, which fixes the scale. In inference μ is the running mean.

    Args:
        num_features: number of channels C.
        momentum: weight of the batch in the running mean.
        shift, initial_shift: see `AffineNormalizer`.

    Raises:
        ValueError: as in `BatchNorm`; a single value per feature would become 0.
    """

    linear_bias = False

    def __init__(
        self, num_features: int, momentum: float = 0.1, shift: bool = True, initial_shift: float = 0.0
    ) -> None:
        super().__init__(num_features, momentum, scale=False, shift=shift, initial_shift=initial_shift)
        self.register_averages(running_mean=0.0)

    def normalize_with_batch_statistics(self, inputs: Tensor) -> Tensor:
        mean = inputs.mean(dim=(0, *range(2, inputs.ndim)))
        self.move_average(self.running_mean, mean)
        return self.scale_and_shift(inputs - broadcast(mean, inputs))

    def normalize_with_population_statistics(self, inputs: Tensor) -> Tensor:
        return self.scale_and_shift(inputs - broadcast(self.running_mean, inputs))
