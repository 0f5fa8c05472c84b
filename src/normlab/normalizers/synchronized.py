"""Batch normalization with the statistics of the whole batch where each process of a run has a part of it."""

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from normlab.processes.collectives import sum_in_place


def synchronize(network: nn.Module) -> None:
    """Let every normalizer that can (it has an attribute `synchronized`) take its statistics over all processes."""
    for module in network.modules():
        if hasattr(module, "synchronized"):
            setattr(module, "synchronized", True)  # noqa: B010 – types know of no such attribute of modules


def statistics_batch(network: nn.Module, batch_size: int, processes: int) -> dict[str, int]:
    """Return, by name of the block, from how many examples a normalizer takes its statistics in training.

    Those that keep a `running_mean` count; one that is in no block goes by its own name.
    """
    return {
        name.removesuffix(".normalizer"): batch_size
        if getattr(module, "synchronized", False)
        else batch_size // processes
        for name, module in network.named_modules()
        if getattr(module, "running_mean", None) is not None
    }


def normalize_over_processes(
    inputs: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Normalize the part (N, C) or (N, C, H, W) of a batch that this process has; one sum each way over processes.

    The gradient of the inputs is that of the sum of all processes' losses. Those of weight and bias are this
    process's part of it. Raises ProcessLostError.

    Returns:
        The outputs, and of the whole batch, without gradients: mean (C,), biased variance (C,), values per
        feature ().
    """
    channels = (-1, *[1] * (inputs.ndim - 2))
    gamma, beta = (None if values is None else values.view(channels) for values in (weight, bias))
    return cast(tuple[Tensor, Tensor, Tensor, Tensor], _Normalize.apply(inputs, gamma, beta, eps))  # type: ignore[no-untyped-call]


class _Normalize(torch.autograd.Function):
    """Equations of Ioffe and Szegedy (2015), section 3, with every sum taken over all processes."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        over = (0, *range(2, inputs.ndim))
        x = inputs.to(torch.promote_types(inputs.dtype, torch.float32))
        variances, means = torch.var_mean(x, over, correction=0)
        count = x.numel() // x.shape[1]
        # Each process fills its own row, so that one sum brings all of them to all.
        rows = x.new_zeros(dist.get_world_size(), 2 * x.shape[1] + 1)
        rows[dist.get_rank()] = torch.cat([means, variances, x.new_tensor([count])])
        sum_in_place(rows)
        means, variances, counts = torch.split(rows, [x.shape[1], x.shape[1], 1], dim=1)
        m = counts.sum()
        mean = (counts * means).sum(0) / m
        # Spread within the parts, and of the parts around the whole: no difference of large squares.
        variance = (counts * (variances + (means - mean) ** 2)).sum(0) / m

        channels = (-1, *[1] * (x.ndim - 2))
        inverse_deviation = (variance + eps).rsqrt().view(channels)
        x_hat = (x - mean.view(channels)) * inverse_deviation
        ctx.over, ctx.has_bias = over, bias is not None
        ctx.save_for_backward(x_hat, inverse_deviation, m, weight)
        ctx.mark_non_differentiable(mean, variance, m)
        outputs = x_hat if weight is None else weight * x_hat
        outputs = outputs if bias is None else outputs + bias
        return outputs.to(inputs.dtype), mean, variance, m

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        x_hat, inverse_deviation, m, weight = ctx.saved_tensors
        dy = gradient.to(x_hat.dtype)
        of_bias = dy.sum(ctx.over, keepdim=True)[0]
        of_weight = (dy * x_hat).sum(ctx.over, keepdim=True)[0]
        over_all = torch.stack([of_bias, of_weight])
        sum_in_place(over_all)
        dx = (dy - over_all[0] / m - x_hat * (over_all[1] / m)) * inverse_deviation
        dx = dx if weight is None else dx * weight
        return dx.to(gradient.dtype), of_weight if weight is not None else None, of_bias if ctx.has_bias else None, None
