"""Batch normalization followed by noise that undoes the steady distribution which it gives to features."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from normlab.normalizers.affine import broadcast, widen
from normlab.normalizers.batch_norm import BatchNorm
from normlab.normalizers.counted_noise import draw_uniform, make_key


class NoisyBatchNorm(BatchNorm):
    """Noisy batch normalization (Santurkar et al., 2018, arXiv:1805.11604, section 2.1 and appendix A).

    In training the outputs y of batch normalization become s · y + m. In each update a feature draws
    μ ~ U(−mean_range, mean_range) and σ ~ U(1, largest_scale), and then each of its values
    m ~ U(μ − mean_spread, μ + mean_spread) and s ~ N(σ, scale_spread²). Inference has no noise.

    The noise is a pure function of the buffers `noise_seed`, drawn from the run's seed and the name of the layer, and
    `updates`, a count of passes in training mode: it is the same in a resumed run, and for all variants with one seed
    that have the layer. A layer that no seed was drawn for has seed 0. Of a batch shared by several processes each
    example has noise of its own.

    Args:
        num_features: number of channels C.
        mean_range: largest mean of the noise of a feature, n_μ in the paper.
        largest_scale: n_σ, at least 1.
        mean_spread: r_μ.
        scale_spread: r_σ.
        settings: of `BatchNorm`.

    Raises:
        ValueError: a setting is out of range, or as in `BatchNorm`.
    """

    noise_seed: Tensor
    updates: Tensor

    def __init__(
        self,
        num_features: int,
        mean_range: float = 0.5,
        largest_scale: float = 1.25,
        mean_spread: float = 0.1,
        scale_spread: float = 0.1,
        **settings: Any,
    ) -> None:
        super().__init__(num_features, **settings)
        if largest_scale < 1 or min(mean_range, mean_spread, scale_spread) < 0:
            raise ValueError(
                "largest_scale must be at least 1, and mean_range, mean_spread and scale_spread at least 0, got"
                f" {largest_scale}, {mean_range}, {mean_spread} and {scale_spread}"
            )
        self.mean_range, self.largest_scale = mean_range, largest_scale
        self.mean_spread, self.scale_spread = mean_spread, scale_spread
        self.register_buffer("noise_seed", torch.zeros((), dtype=torch.int64))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def draw_parameters(self, generator_for: Callable[[str], torch.Generator]) -> None:
        """Draw the seed of the noise, and scale and shift as `BatchNorm` does."""
        super().draw_parameters(generator_for)
        self.noise_seed.copy_(torch.randint(2**32, (), generator=generator_for("noise_seed")))

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalize as `BatchNorm.forward`; half precision is computed in float32."""
        outputs = super().forward(widen(inputs))
        if self.training:
            scale, mean = self._draw_noise(outputs)
            outputs = outputs * scale + mean
            self.updates.add_(1)
        return outputs.to(inputs.dtype)

    def _draw_noise(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return factors and terms of this update, both of the shape of the outputs (N, C, …)."""
        rank = dist.get_rank() if dist.is_initialized() else 0

        def draw(stream: int, shape: tuple[int, ...], first: int = 0) -> Tensor:
            return draw_uniform(make_key(self.noise_seed, self.updates, stream), shape, first).to(outputs.dtype)

        def draw_of_feature(stream: int) -> Tensor:
            return broadcast(draw(stream, (self.num_features,)), outputs)

        def draw_of_value(stream: int) -> Tensor:
            return draw(stream, tuple(outputs.shape), first=rank * outputs.numel())

        scale = 1 + (self.largest_scale - 1) * draw_of_feature(0)
        mean = self.mean_range * (2 * draw_of_feature(1) - 1)
        scale = scale + self.scale_spread * torch.special.ndtri(draw_of_value(2))
        mean = mean + self.mean_spread * (2 * draw_of_value(3) - 1)
        return scale, mean
