"""CPU batch normalization of channels-last feature maps with few channels."""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SIMD_CHANNELS = 8
"""Channels from which PyTorch's kernel is faster with one thread; it processes fewer one by one."""

MIN_VALUES = 2**17
"""Size of an input from which `normalize_rows` outperforms PyTorch's kernel."""


def is_faster_as_rows(inputs: Tensor) -> bool:
    """Return whether `normalize_rows` is faster than PyTorch's kernel for a training batch of any shape."""
    return (
        inputs.is_cpu
        and inputs.ndim == 4
        and inputs.stride(1) == 1
        and inputs.shape[1] < SIMD_CHANNELS
        and inputs.numel() >= MIN_VALUES
    )


def normalize_rows(
    inputs: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalize (N, C, H, W) with the statistics of the batch, as `torch.nn.functional.batch_norm` does.

    Each image is a row of H·W·C values, along which the scale and shift of the channels repeat. So every pass
    runs over long rows, however few the channels.

    Returns:
        The outputs and, without gradients, the mean (C,) and the biased variance (C,).
    """
    return cast(tuple[Tensor, Tensor, Tensor], _NormalizeRows.apply(inputs, weight, bias, eps))  # type: ignore[no-untyped-call]


class _NormalizeRows(torch.autograd.Function):
    """Equations of Ioffe and Szegedy (2015), section 3."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        inputs: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows, channels = _to_rows(inputs), inputs.shape[1]
        m = inputs.numel() // channels
        mean = _sum_channels(rows, channels) / m
        deviations = rows - _repeat(mean, rows)
        variance = _sum_channels(deviations.mul_(deviations), channels) / m
        scale = _compute_scale(variance, weight, eps)
        shift = -mean * scale if bias is None else bias - mean * scale
        outputs = torch.addcmul(_repeat(shift, rows), rows, _repeat(scale, rows))
        return _to_feature_maps(outputs, inputs), mean, variance

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
        """Return the gradients of inputs, scale (C,) and shift (C,) for that of the outputs, of the inputs' shape."""
        inputs, weight, mean, variance = ctx.saved_tensors
        dy, channels = _to_rows(gradient), inputs.shape[1]
        m = inputs.numel() // channels
        centred = _to_rows(inputs) - _repeat(mean, dy)
        d_bias = _sum_channels(dy, channels)
        covariance = _sum_channels(dy * centred, channels)
        scale, inverse_variance = _compute_scale(variance, weight, ctx.eps), 1 / (variance + ctx.eps)
        # dx = scale · (dy − d_bias / m − centred · covariance · inverse_variance / m), in place to stay in the caches
        centred.mul_(_repeat(-scale * covariance * inverse_variance / m, dy))
        centred.add_(_repeat(-scale * d_bias / m, dy))
        dx = (dy * _repeat(scale, dy)).add_(centred)
        d_weight = None if weight is None else covariance * inverse_variance.sqrt()
        return _to_feature_maps(dx, inputs), d_weight, d_bias if ctx.has_bias else None, None


def _to_rows(feature_maps: Tensor) -> Tensor:
    """Reshape (N, C, H, W) to (N, H·W·C), and convert half precision to float32."""
    rows = feature_maps.permute(0, 2, 3, 1).flatten(start_dim=1)
    return rows.to(torch.promote_types(rows.dtype, torch.float32))


def _to_feature_maps(rows: Tensor, like: Tensor) -> Tensor:
    """Undo `_to_rows`."""
    channels, height, width = like.shape[1:]
    return rows.reshape(-1, height, width, channels).permute(0, 3, 1, 2).to(like.dtype)


def _sum_channels(rows: Tensor, channels: int) -> Tensor:
    """Sum each channel over all rows; the result is (C,)."""
    return rows.sum(0).reshape(-1, channels).sum(0)


def _repeat(values: Tensor, rows: Tensor) -> Tensor:
    """Repeat values (C,) to the length of a row."""
    return values.repeat(rows.shape[1] // len(values))


def _compute_scale(variance: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    inverse_deviation = (variance + eps).rsqrt()
    return inverse_deviation if weight is None else inverse_deviation * weight
