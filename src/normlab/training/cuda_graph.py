"""An update recorded once as a CUDA graph and replayed from there: all its kernels start at the price of one."""

from collections.abc import Callable

import torch
from torch import Tensor

UPDATES_BEFORE = 3
"""Made as usual first, on a stream apart, in which libraries choose their kernels and the optimizer makes its state."""


class CapturedUpdate:
    """Makes the same update as the function given, which it calls for the first few and records for all others.

    The function always works on the same weights and gradients, and on indices of one shape. It must wait for nothing
    on the GPU. See https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs for what else holds.

    Args:
        update: from the indices of the examples, on a GPU, to the loss or losses before the update.
        optimizer: that it steps.
    """

    def __init__(self, update: Callable[[Tensor], Tensor], optimizer: torch.optim.Optimizer) -> None:
        self._update = update
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        for group in optimizer.param_groups:
            if "capturable" in group:  # its count of steps then lives on the GPU
                group["capturable"] = True

    def __call__(self, indices: Tensor) -> Tensor:
        """Make one update; return the loss or losses before it."""
        self._calls += 1
        if self._calls <= UPDATES_BEFORE:
            return self._on_a_stream_apart(indices)
        if self._graph is None:
            self._indices = indices.clone()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):  # records, and does nothing
                self._loss = self._update(self._indices)
        self._indices.copy_(indices)
        self._graph.replay()
        return self._loss.clone()  # the next replay writes over it

    def _on_a_stream_apart(self, indices: Tensor) -> Tensor:
        apart = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        apart.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(apart):
            loss = self._update(indices)
        torch.cuda.current_stream().wait_stream(apart)
        return loss
