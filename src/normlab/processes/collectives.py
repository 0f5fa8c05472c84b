"""Sums and broadcasts over the processes that make one run, which say so where one of the processes is gone."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


class ProcessLostError(RuntimeError):
    """Another process of this run is gone, or failed; the message says which and why where that is known."""


def sum_in_place(values: Tensor) -> None:
    """Replace values of any shape by their sum over all processes, which has the same bits in each of them.

    Raises ProcessLostError.
    """
    with _told_of_losses():
        dist.all_reduce(values)


def summed(values: Tensor) -> Tensor:
    """Return the sum of values of any shape over all processes, differentiable: the gradients are summed as well.

    Raises ProcessLostError.
    """
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


def broadcast(content: Mapping[str, Any] | None, device: torch.device) -> dict[str, Any]:
    """Return what process 0 gives, plain data and tensors, in every process; the others give None.

    The device is one that the backend of the process group can send from. Raises ProcessLostError.
    """
    written = io.BytesIO()
    if content is not None:
        torch.save(dict(content), written)
    size = torch.tensor([len(written.getvalue())], device=device)
    with _told_of_losses():
        dist.broadcast(size, src=0)
        sent = torch.zeros(int(size), dtype=torch.uint8, device=device)
        if content is not None:
            sent.copy_(torch.frombuffer(written.getbuffer(), dtype=torch.uint8))
        dist.broadcast(sent, src=0)
    received: dict[str, Any] = torch.load(
        io.BytesIO(sent.cpu().numpy().tobytes()), map_location="cpu", weights_only=True
    )
    return received


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor) -> Tensor:
        total = values.contiguous().clone()
        sum_in_place(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        sum_in_place(total)
        return total


@contextmanager
def _told_of_losses() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # what gloo and NCCL raise where a connection breaks or nobody answers
        raise ProcessLostError(f"another process of this run does not answer: {error}") from error
