"""A step of several processes: average gradients, and agree on loss, buffers and the end of training."""

import torch
from torch import Tensor, nn

from normlab.data.batches import Shard
from normlab.processes.collectives import sum_in_place
from normlab.randomness import generator


class DataParallel:
    """The steps of one run shared by several processes, each of which computes an equal part of every batch."""

    def __init__(self, rank: int, world_size: int, seed: int) -> None:
        self.shard = Shard(rank, world_size)
        self.seed = seed
        self.stop_agreed = False
        """Whether any process was asked to stop by the latest step; all know it at the same one."""

    def set_generators(self, step: int, device: torch.device) -> None:
        """Set torch's global generators, in all processes but the first, to a state that depends on nothing before.

        So modules that draw see other numbers in each process, and a checkpoint needs the state of process 0 alone.
        """
        if self.shard.rank == 0:
            return
        seed = generator(self.seed, f"update {step} in process {self.shard.rank}").initial_seed()
        torch.default_generator.manual_seed(seed)  # torch.manual_seed asks every backend, at 80 µs
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)

    @torch.no_grad()
    def average(self, network: nn.Module, loss: Tensor, stop: bool) -> Tensor:
        """Replace the gradients by their means over all processes, and return the mean of the loss, a scalar.

        The same sum carries requests to stop, and the floating-point buffers of process 0 to all others: its
        running averages are the network's, and what a checkpoint holds. Every process has to compute gradients of
        the same parameters. Raises ProcessLostError.
        """
        rank, world_size = self.shard
        parameters = [parameter for parameter in network.parameters() if parameter.grad is not None]
        buffers = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        scalars = torch.stack([loss.detach().float(), torch.full_like(loss, float(stop), dtype=torch.float32)])
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        pieces = [*gradients, scalars, *(buffer if rank == 0 else torch.zeros_like(buffer) for buffer in buffers)]
        flat = torch.cat([piece.reshape(-1) for piece in pieces])
        sum_in_place(flat)

        sums = torch.split(flat, [piece.numel() for piece in pieces])
        for parameter, gradient in zip(parameters, sums, strict=False):
            assert parameter.grad is not None
            parameter.grad.copy_(gradient.div_(world_size).view_as(parameter))  # keeps the memory layout
        if rank > 0:
            for buffer, value in zip(buffers, sums[len(parameters) + 1 :], strict=True):
                buffer.copy_(value.view_as(buffer))
        total_loss, stops = sums[len(parameters)]
        self.stop_agreed = bool(stops > 0)
        mean: Tensor = total_loss / world_size
        return mean
