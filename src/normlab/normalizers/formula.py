"""Batch normalization written out formula by formula: what the fused kernels compute, to read and to test against."""

import torch
from torch import Tensor

from normlab.normalizers.batch_norm import BatchNorm
from normlab.processes.collectives import sum_over_processes


class BatchNormByFormula(BatchNorm):
    """The same layer as `BatchNorm`, every knob included, with one line for each equation.

    Names follow algorithm 1 of Ioffe and Szegedy (2015): mu and sigma_squared are the statistics, x_hat the
    normalized input, gamma and beta scale and shift. It costs a few times the fused kernels.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """As `BatchNorm.forward`; half precision is computed with in float32 and returned, as the kernels do."""
        outputs = super().forward(inputs.to(torch.promote_types(inputs.dtype, torch.float32)))
        return outputs.to(inputs.dtype)

    def normalize_with_batch_statistics(self, inputs: Tensor) -> Tensor:
        """Normalize with the statistics of the batch and move the running averages towards them."""
        over = (0,) if inputs.ndim == 2 else (0, 2, 3)
        m: Tensor | int = inputs.numel() // self.num_features
        total = _itself
        if self.synchronized:
            total = sum_over_processes
            m = total(torch.tensor(float(m), device=inputs.device))

        mu = total(inputs.sum(dim=over)) / m
        sigma_squared = total(((inputs - self._per_channel(mu, inputs)) ** 2).sum(dim=over)) / m

        self._move_averages(inputs, mu, sigma_squared, m)
        return self._scale_and_shift(inputs, mu, sigma_squared)

    def normalize_with_population_statistics(self, inputs: Tensor) -> Tensor:
        return self._scale_and_shift(inputs, self.running_mean, self.running_var)

    def _scale_and_shift(self, inputs: Tensor, mu: Tensor, sigma_squared: Tensor) -> Tensor:
        mu, sigma_squared = self._per_channel(mu, inputs), self._per_channel(sigma_squared, inputs)
        x_hat = (inputs - mu) / (sigma_squared + self.eps).sqrt()
        if self.weight is not None:
            gamma = self._per_channel(self.weight, inputs)
            x_hat = gamma * x_hat
        if self.bias is not None:
            beta = self._per_channel(self.bias, inputs)
            x_hat = x_hat + beta
        return x_hat

    @staticmethod
    def _per_channel(values: Tensor, inputs: Tensor) -> Tensor:
        """Shape values (C,) so that they broadcast along axis 1 of the inputs."""
        return values if inputs.ndim == 2 else values[:, None, None]


def _itself(values: Tensor) -> Tensor:
    return values
