"""Batch normalization of feature maps on a CPU whose channels lie innermost in memory and fill no vector of it."""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHANNELS_OF_A_VECTOR = 16
"""Channels, of which PyTorch's kernel takes a multiple at once, and each of the others by itself."""

SMALLEST = 2**17
"""Values of an input for which a dozen calls, and no slow channel, take less time than that kernel."""


def suits_rows(inputs: Tensor) -> bool:
    """Return whether `normalize_rows` is the faster way for an input (N, C) or (N, C, H, W) in training."""
    return (
        inputs.is_cpu
        and inputs.ndim == 4
        and inputs.stride(1) == 1
        and inputs.shape[1] % CHANNELS_OF_A_VECTOR != 0
        and inputs.numel() >= SMALLEST
    )


def normalize_rows(
    inputs: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalize (N, C, H, W) with the statistics of the batch, as `torch.nn.functional.batch_norm` does.

    An image is a row of H·W·C values, along which scale and shift of the channels repeat: so every pass over the
    input is one over long rows, however few the channels.

    Returns:
        The outputs, and without gradients the mean (C,) and the biased variance (C,).
    """
    return cast(tuple[Tensor, Tensor, Tensor], _NormalizeRows.apply(inputs, weight, bias, eps))  # type: ignore[no-untyped-call]


class _NormalizeRows(torch.autograd.Function):
    """Equations of Ioffe and Szegedy (2015), section 3."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        inputs: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows, channels = _rows(inputs), inputs.shape[1]
        m = inputs.numel() // channels
        mean = _sums(rows, channels) / m
        deviations = rows - _repeated(mean, rows)
        variance = _sums(deviations.mul_(deviations), channels) / m
        scale = _scale(variance, weight, eps)
        shift = -mean * scale if bias is None else bias - mean * scale
        outputs = torch.addcmul(_repeated(shift, rows), rows, _repeated(scale, rows))
        return _feature_maps(outputs, inputs), mean, variance

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
        features, weight, bias, eps = inputs
        _, mean, variance = output
        ctx.eps, ctx.has_bias = eps, bias is not None
        ctx.mark_non_differentiable(mean, variance)
        ctx.save_for_backward(features, weight, mean, variance)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        inputs, weight, mean, variance = ctx.saved_tensors
        dy, channels = _rows(gradient), inputs.shape[1]
        m = inputs.numel() // channels
        centred = _rows(inputs) - _repeated(mean, dy)
        of_bias = _sums(dy, channels)
        with_centred = _sums(dy * centred, channels)
        scale, inverse_variance = _scale(variance, weight, ctx.eps), 1 / (variance + ctx.eps)
        # dx = scale · (dy − of_bias / m − centred · with_centred · inverse_variance / m), in place for the caches' sake
        centred.mul_(_repeated(-scale * with_centred * inverse_variance / m, dy))
        centred.add_(_repeated(-scale * of_bias / m, dy))
        dx = (dy * _repeated(scale, dy)).add_(centred)
        of_weight = None if weight is None else with_centred * inverse_variance.sqrt()
        return _feature_maps(dx, inputs), of_weight, of_bias if ctx.has_bias else None, None


def _rows(feature_maps: Tensor) -> Tensor:
    """Return (N, C, H, W) as (N, H·W·C), half precision as float32."""
    rows = feature_maps.permute(0, 2, 3, 1).flatten(start_dim=1)
    return rows.to(torch.promote_types(rows.dtype, torch.float32))


def _feature_maps(rows: Tensor, like: Tensor) -> Tensor:
    """Undo `_rows`."""
    channels, height, width = like.shape[1:]
    return rows.reshape(-1, height, width, channels).permute(0, 3, 1, 2).to(like.dtype)


def _sums(rows: Tensor, channels: int) -> Tensor:
    """Return the sum (C,) of each channel over all rows."""
    return rows.sum(0).reshape(-1, channels).sum(0)


def _repeated(values: Tensor, rows: Tensor) -> Tensor:
    """Return values (C,) over and over, to the length of a row."""
    return values.repeat(rows.shape[1] // len(values))


def _scale(variance: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    inverse_deviation = (variance + eps).rsqrt()
    return inverse_deviation if weight is None else inverse_deviation * weight
