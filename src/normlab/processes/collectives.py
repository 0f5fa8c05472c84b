"""Sums over the processes of one run, with an error of their own if another process is lost."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx


class ProcessLostError(RuntimeError):
    """Another process of this run died or failed; the message says which and why, if that is known."""


@contextmanager
def detect_lost_process() -> Iterator[None]:
    """Raise ProcessLostError if a collective operation in this context fails."""
    try:
        yield
    except RuntimeError as error:  # raised by gloo and NCCL if a connection breaks or times out
        raise ProcessLostError(f"another process of this run does not answer: {error}") from error


def sum_in_place(values: Tensor) -> None:
    """Replace values of any shape by their sum over all processes, which has the same bits in each of them.

    Raises ProcessLostError.
    """
    with detect_lost_process():
        dist.all_reduce(values)


def sum_over_processes(values: Tensor) -> Tensor:
    """Return the sum of values of any shape over all processes, differentiable: gradients are summed as well.

    Raises ProcessLostError.
    """
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor) -> Tensor:
        total = values.contiguous().clone()
        sum_in_place(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        return sum_over_processes(gradient)
