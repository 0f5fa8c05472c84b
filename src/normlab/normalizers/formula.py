"""Batch normalization written out equation by equation: a readable reference for the fused kernels."""

import torch
from torch import Tensor

from normlab.normalizers.affine import broadcast, widen
from normlab.normalizers.batch_norm import BatchNorm
from normlab.processes.collectives import sum_over_processes


class BatchNormByFormula(BatchNorm):
    """The same layer as `BatchNorm` with the same settings and one line per equation, at several times the cost.

    Names follow algorithm 1 of Ioffe and Szegedy (2015): mu and sigma_squared are the statistics, x_hat is the
    normalized input, gamma and beta are scale and shift.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalize as `BatchNorm.forward`; half-precision inputs are computed in float32, as in the kernels."""
        outputs = super().forward(widen(inputs))
        return outputs.to(inputs.dtype)

    def normalize_with_batch_statistics(self, inputs: Tensor) -> Tensor:
        over = (0, *range(2, inputs.ndim))
        m: Tensor | int = inputs.numel() // self.num_features
        if self.synchronized:
            m = sum_over_processes(torch.tensor(float(m), device=inputs.device))

        mu = self._sum_over_batch(inputs, over) / m
        sigma_squared = self._sum_over_batch((inputs - broadcast(mu, inputs)) ** 2, over) / m

        self._move_averages(inputs, mu, sigma_squared, m)
        return self._normalize(inputs, mu, sigma_squared)

    def _sum_over_batch(self, values: Tensor, over: tuple[int, ...]) -> Tensor:
        total = values.sum(dim=over)
        return sum_over_processes(total) if self.synchronized else total

    def normalize_with_population_statistics(self, inputs: Tensor) -> Tensor:
        return self._normalize(inputs, self.running_mean, self.running_var)

    def _normalize(self, inputs: Tensor, mu: Tensor, sigma_squared: Tensor) -> Tensor:
        mu, sigma_squared = broadcast(mu, inputs), broadcast(sigma_squared, inputs)
        x_hat = (inputs - mu) / (sigma_squared + self.eps).sqrt()
        if self.weight is not None:
            gamma = broadcast(self.weight, inputs)
            x_hat = gamma * x_hat
        if self.bias is not None:
            beta = broadcast(self.bias, inputs)
            x_hat = x_hat + beta
        return x_hat
