"""A training step recorded once as a CUDA graph and then replayed: all its kernels start at the price of one."""

from collections.abc import Callable

import torch
from torch import Tensor

WARMUP_STEPS = 3
"""Made as usual first, on a stream of their own: libraries choose kernels, and the optimizer makes its state."""


class GraphedStep:
    """Makes the same step as the given function, which it calls for the first few steps and records for all others.

    The function maps the indices of the examples, on a GPU, to the loss or losses before the update. It always works on
    the same weights, gradients and optimizer, and on indices of one shape. It must wait for nothing on the GPU. See
    https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs for the other conditions.
    """

    def __init__(self, step: Callable[[Tensor], Tensor], optimizer: torch.optim.Optimizer) -> None:
        self._step = step
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        for group in optimizer.param_groups:
            if "capturable" in group:  # its count of steps is then on the GPU
                group["capturable"] = True

    def __call__(self, indices: Tensor) -> Tensor:
        """Make one step; return the loss or losses before the update."""
        self._calls += 1
        if self._calls <= WARMUP_STEPS:
            return self._warm_up(indices)
        if self._graph is None:
            self._indices = indices.clone()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):  # records without computing
                self._loss = self._step(self._indices)
        self._indices.copy_(indices)
        self._graph.replay()
        return self._loss.clone()  # the next replay overwrites it

    def _warm_up(self, indices: Tensor) -> Tensor:
        side_stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side_stream):
            loss = self._step(indices)
        torch.cuda.current_stream().wait_stream(side_stream)
        return loss
