"""Batch normalization on PyTorch's fused kernels, with the settings in which published implementations differ."""

import math
from collections.abc import Callable
from typing import Literal, get_args

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional

from normlab.normalizers.batch_statistics import BatchStatisticsNormalizer
from normlab.normalizers.channels_last import is_faster_as_rows, normalize_rows
from normlab.normalizers.synchronized import normalize_over_processes

AveragedVariance = Literal["unbiased", "biased", "fused"]


class BatchNorm(BatchStatisticsNormalizer):
    """Batch normalization (Ioffe and Szegedy, 2015, arXiv:1502.03167, algorithms 1 and 2).

    In training mode each feature is normalized with the mean and the biased variance of the batch (over N and all
    positions), and running averages of both are updated. In inference mode the running averages, called
    population statistics, are used instead. The defaults match `torch.nn.BatchNorm1d` and `BatchNorm2d`,
    including the names of parameters and running averages, but batches are not counted.

    Args:
        num_features: number of channels C.
        momentum: weight of the batch in the running averages: new = (1 − momentum)·old + momentum·batch.
        eps: added to the variance before the square root.
        averaged_variance: variance of the batch that enters the running average. "unbiased" divides by n − 1,
            as PyTorch and TensorFlow's fused kernel do; "biased" divides by n, as `tf.nn.moments` does; "fused"
            follows `tf.layers.batch_normalization`: unbiased for (N, C, H, W), for which it uses the fused
            kernel, and biased otherwise.
        scale: multiply by a learned factor `weight` (gamma).
        shift: add a learned term `bias` (beta).
        random_start: initialize scale and shift from N(0, 1) instead of 1 and 0 (see `draw_parameters`).
        initial_variance: initial value of the running variance; the running mean starts at 0.
        linear_bias: keep the bias of the preceding linear map, although centring cancels it.
        initial_scale, initial_shift: initial values of scale and shift, see `AffineNormalizer`.

    Raises:
        ValueError: a setting is out of range, an input has the wrong rank or channel count, or a training
            batch has only one value per feature.
    """

    synchronized = False
    """Take statistics over the batches of all processes; set by `synchronize`."""

    def __init__(
        self,
        num_features: int,
        momentum: float = 0.1,
        eps: float = 1e-5,
        averaged_variance: AveragedVariance = "unbiased",
        scale: bool = True,
        shift: bool = True,
        random_start: bool = False,
        initial_variance: float = 1.0,
        linear_bias: bool = False,
        initial_scale: float = 1.0,
        initial_shift: float = 0.0,
    ) -> None:
        super().__init__(num_features, momentum, eps, scale, shift, initial_scale, initial_shift)
        if averaged_variance not in get_args(AveragedVariance):
            raise ValueError(
                f"averaged_variance must be one of {', '.join(get_args(AveragedVariance))}, got {averaged_variance!r}"
            )
        if not 0 <= initial_variance < math.inf:
            raise ValueError(f"initial_variance must be a finite number and not negative, got {initial_variance}")
        self.averaged_variance = averaged_variance
        self.random_start = random_start
        self.linear_bias = linear_bias
        self.register_averages(running_mean=0.0, running_var=initial_variance)

    @torch.no_grad()
    def draw_parameters(self, generator_for: Callable[[str], torch.Generator]) -> None:
        """Draw scale and shift from N(0, 1) if `random_start` is set.

        Args:
            generator_for: maps a parameter's name in this module to its generator.
        """
        if not self.random_start:
            return
        for name, parameter in self.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator_for(name)))

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalize inputs (N, C), (N, C, L) or (N, C, H, W); the kernels compute half precision in float32."""
        self.check_shape(inputs)
        if self.training:
            self.check_count(inputs)
            return self.normalize_with_batch_statistics(inputs)
        return self.normalize_with_population_statistics(inputs)

    def normalize_with_population_statistics(self, inputs: Tensor) -> Tensor:
        return functional.batch_norm(
            inputs, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )

    def normalize_with_batch_statistics(self, inputs: Tensor) -> Tensor:
        """Normalize with the statistics of the batch and update the running averages."""
        if self.synchronized:
            outputs, mean, variance, m = normalize_over_processes(inputs, self.weight, self.bias, self.eps)
            self._move_averages(inputs, mean, variance, m)
            return outputs
        if is_faster_as_rows(inputs):
            outputs, mean, variance = normalize_rows(inputs, self.weight, self.bias, self.eps)
            self._move_averages(inputs, mean, variance, inputs.numel() // self.num_features)
            return outputs
        return self._normalize_with_pytorch_kernel(inputs)

    def _normalize_with_pytorch_kernel(self, inputs: Tensor) -> Tensor:
        if not self._averages_biased_variance(inputs):
            return self._call_fused_kernel(inputs, self.running_var)
        # The kernel averages the unbiased variance, n/(n−1) times the biased one. Scaling its result by (n−1)/n turns
        # that term into momentum·biased; adding (1−momentum)·old/n restores the term of the old average. The kernel
        # gets a copy because autograd keeps the tensor.
        n = inputs.numel() // self.num_features
        averaged = self.running_var.clone()
        outputs = self._call_fused_kernel(inputs, averaged)
        self.running_var.mul_((1 - self.momentum) / n).add_(averaged, alpha=(n - 1) / n)
        return outputs

    @torch.no_grad()
    def _move_averages(self, inputs: Tensor, mu: Tensor, sigma_squared: Tensor, m: Tensor | int) -> None:
        """Update the running averages with the mean (C,) and biased variance (C,) of m values per feature."""
        averaged = sigma_squared if self._averages_biased_variance(inputs) else sigma_squared * m / (m - 1)
        self.move_average(self.running_mean, mu)
        self.move_average(self.running_var, averaged)

    def _call_fused_kernel(self, inputs: Tensor, running_var: Tensor) -> Tensor:
        return functional.batch_norm(
            inputs, self.running_mean, running_var, self.weight, self.bias, True, self.momentum, self.eps
        )

    def _averages_biased_variance(self, inputs: Tensor) -> bool:
        return self.averaged_variance == "biased" or (self.averaged_variance == "fused" and inputs.ndim != 4)

    def check_count(self, inputs: Tensor) -> None:
        if not self._spans_processes():
            super().check_count(inputs)

    def _spans_processes(self) -> bool:
        return self.synchronized and dist.get_world_size() > 1

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, averaged_variance={self.averaged_variance!r}"
