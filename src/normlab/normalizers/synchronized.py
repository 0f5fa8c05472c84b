"""Batch normalization with the statistics of a batch that is sharded over the processes of a run."""

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from normlab.normalizers.affine import widen
from normlab.processes.collectives import sum_in_place


def synchronize(network: nn.Module) -> None:
    """Make every normalizer with an attribute `synchronized` take its statistics over all processes."""
    for module in network.modules():
        if hasattr(module, "synchronized"):
            setattr(module, "synchronized", True)  # noqa: B010 – nn.Module's type hides plain attributes


def get_statistics_batch(network: nn.Module, batch_size: int, processes: int) -> dict[str, int]:
    """Return, by block, the number of examples that a normalizer's statistics are taken from in training.

    A normalizer without an attribute `synchronized` takes those of its process's shard, and one with an attribute
    `statistics_batch` those of a part of it. Only normalizers with one of `running_mean`, `running_var` and
    `statistics_batch` are listed; one outside a block has its own name. Of the normalizers of a module with one for
    each step of a sequence, that of the last step is listed, its submodule `normalizer`.

    Raises:
        ValueError: a shard cannot be cut into parts of `statistics_batch`.
    """
    sizes = {}
    blocks = [name for name, module in network.named_modules() if name and hasattr(module, "normalizer")]
    for name, module in network.named_modules():
        if any(name.startswith(f"{block}.") and not name.startswith(f"{block}.normalizer") for block in blocks):
            continue
        if all(getattr(module, key, None) is None for key in ("running_mean", "running_var", "statistics_batch")):
            continue
        examples = batch_size if getattr(module, "synchronized", False) else batch_size // processes
        part = getattr(module, "statistics_batch", examples)
        sizes[name.removesuffix(".normalizer")] = examples // count_parts(examples, part)
    return sizes


def count_parts(examples: int, size: int) -> int:
    """Return the number of parts of `size` examples, 1 if there are fewer. Raises ValueError if there is a rest."""
    if examples <= size:
        return 1
    if examples % size:
        raise ValueError(
            f"a batch of {examples} examples cannot be cut into virtual batches of {size}: choose a batch size that is"
            " a multiple of normalizer.size, or a size that divides it"
        )
    return examples // size


def normalize_over_processes(
    inputs: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Normalize this process's shard (N, C) or (N, C, H, W), with one sum over processes in each direction.

    The gradient of the inputs is that of the summed losses of all processes. Weight and bias get this process's
    part of theirs.

    Returns:
        The outputs and, without gradients, of the whole batch: mean (C,), biased variance (C,), values per
        feature ().

    Raises:
        ProcessLostError: another process ended.
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
        """Return outputs, means (C,), biased variances (C,) and values per feature, over all processes."""
        over = (0, *range(2, inputs.ndim))
        x = widen(inputs)
        variances, means = torch.var_mean(x, over, correction=0)
        count = x.numel() // x.shape[1]
        # Each process fills its own row, so that one sum gathers all rows in every process.
        rows = x.new_zeros(dist.get_world_size(), 2 * x.shape[1] + 1)
        rows[dist.get_rank()] = torch.cat([means, variances, x.new_tensor([count])])
        sum_in_place(rows)
        means, variances, counts = torch.split(rows, [x.shape[1], x.shape[1], 1], dim=1)
        m = counts.sum()
        mean = (counts * means).sum(0) / m
        # Variance within the shards plus variance between them: no difference of large squares.
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
        """Return the gradients of inputs, scale (C,) and shift (C,) for that of the outputs."""
        x_hat, inverse_deviation, m, weight = ctx.saved_tensors
        dy = gradient.to(x_hat.dtype)
        d_bias = dy.sum(ctx.over, keepdim=True)[0]
        d_weight = (dy * x_hat).sum(ctx.over, keepdim=True)[0]
        totals = torch.stack([d_bias, d_weight])
        sum_in_place(totals)
        dx = (dy - totals[0] / m - x_hat * (totals[1] / m)) * inverse_deviation
        dx = dx if weight is None else dx * weight
        return dx.to(gradient.dtype), d_weight if weight is not None else None, d_bias if ctx.has_bias else None, None
