"""Batch normalization written out formula by formula: what the fused kernels compute, to read and to test against."""

import torch
from torch import Tensor

from normlab.normalizers.batch_norm import BatchNorm


class BatchNormByFormula(BatchNorm):
    """The same layer as `BatchNorm`, every knob included, with one line for each equation.

    Names follow algorithm 1 of Ioffe and Szegedy (2015): mu and sigma_squared are the statistics, x_hat the
    normalized input, gamma and beta scale and shift. It costs a few times the fused kernels.
    """

    def normalize_with_batch_statistics(self, inputs: Tensor) -> Tensor:
        over = (0,) if inputs.ndim == 2 else (0, 2, 3)
        m = inputs.numel() // self.num_features

        mu = inputs.sum(dim=over) / m
        sigma_squared = ((inputs - self._per_channel(mu, inputs)) ** 2).sum(dim=over) / m

        with torch.no_grad():
            averaged = sigma_squared if self._averages_biased_variance(inputs) else sigma_squared * m / (m - 1)
            self.running_mean.copy_((1 - self.momentum) * self.running_mean + self.momentum * mu)
            self.running_var.copy_((1 - self.momentum) * self.running_var + self.momentum * averaged)
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
