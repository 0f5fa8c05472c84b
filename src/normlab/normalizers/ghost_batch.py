"""Ghost batch normalization: each part of a batch is normalized with statistics of its own."""

import torch
from torch import Tensor

from normlab.normalizers.batch_statistics import BatchStatisticsNormalizer, make_unbiased
from normlab.normalizers.synchronized import count_parts


class GhostBatchNorm(BatchStatisticsNormalizer):
    """Ghost batch normalization (Hoffer, Hubara and Soudry, 2017, arXiv:1705.08741, algorithm 1).

    In training a batch is cut into virtual batches of `size` consecutive examples, each normalized as by
    `torch.nn.BatchNorm1d` and `BatchNorm2d`. The running averages are updated with one virtual batch after another, so
    that the last counts most: as if each had been passed by itself. Inference is that of batch normalization.

    Of a batch shared by several processes each process cuts its own part.

    Args:
        num_features: number of channels C.
        size: examples of a virtual batch; a batch of at most as many is one. The paper takes 128 of 4,096.
        momentum: weight of a virtual batch in the running averages.
        eps: added to the variance before the square root.
        scale, shift, initial_scale, initial_shift: see `AffineNormalizer`.

    Raises:
        ValueError: a training batch is larger than `size` and no multiple of it, a virtual batch has only one value
            per feature, or as in `BatchNorm`.
    """

    linear_bias = False

    def __init__(
        self,
        num_features: int,
        size: int = 32,
        momentum: float = 0.1,
        eps: float = 1e-5,
        scale: bool = True,
        shift: bool = True,
        initial_scale: float = 1.0,
        initial_shift: float = 0.0,
    ) -> None:
        super().__init__(num_features, momentum, eps, scale, shift, initial_scale, initial_shift)
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}: it is the number of examples of a virtual batch")
        self.statistics_batch = size
        self.register_averages(running_mean=0.0, running_var=1.0)

    def normalize_with_batch_statistics(self, inputs: Tensor) -> Tensor:
        parts = inputs.reshape(count_parts(len(inputs), self.statistics_batch), -1, *inputs.shape[1:])
        over = (1, *range(3, parts.ndim))
        variances, means = torch.var_mean(parts, dim=over, correction=0, keepdim=True)
        x_hat = (parts - means) / (variances + self.eps).sqrt()
        values = parts[0].numel() // self.num_features
        self._move_average_by_parts(self.running_mean, means.flatten(1))
        self._move_average_by_parts(self.running_var, make_unbiased(variances.flatten(1), values))
        return self.scale_and_shift(x_hat.flatten(0, 1))

    @torch.no_grad()
    def _move_average_by_parts(self, average: Tensor, of_parts: Tensor) -> None:
        """Move a running average (C,) towards each of the values (parts, C) in turn."""
        kept = 1 - self.momentum
        ages = torch.arange(len(of_parts), device=average.device, dtype=average.dtype).flip(0)
        weights = self.momentum * kept**ages
        # A sum and no matrix product, which autocast would round to half precision.
        average.copy_(kept ** len(of_parts) * average + (weights[:, None] * of_parts).sum(0))

    def check_count(self, inputs: Tensor) -> None:
        super().check_count(inputs[: self.statistics_batch])

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, size={self.statistics_batch}"
