"""What the processes of one run do at each update: average gradients, and agree on loss, buffers and the end."""

import torch
from torch import Tensor, nn

from normlab.data.batches import Part
from normlab.processes.collectives import sum_in_place
from normlab.randomness import generator


class DataParallel:
    """The updates of one run shared by several processes, each of which computes an equal part of every batch.

    Args:
        rank: number of this process, from 0.
        size: number of processes.
        seed: of the run.
    """

    def __init__(self, rank: int, size: int, seed: int) -> None:
        self.part: Part = (rank, size)
        self.seed = seed
        self.stop_agreed = False
        """Whether any process wanted to stop at the latest update; all know it at the same one."""

    def seed_update(self, step: int, device: torch.device) -> None:
        """Give torch's global generators, in all processes but the first, a state that depends on nothing before.

        So modules that draw see other numbers in each process, and the state of process 0 is all that a
        checkpoint needs to hold.
        """
        rank, _ = self.part
        if rank == 0:
            return
        seed = generator(self.seed, f"update {step} in process {rank}").initial_seed()
        torch.default_generator.manual_seed(seed)  # torch.manual_seed asks every backend, at 80 µs
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)

    @torch.no_grad()
    def average(self, network: nn.Module, loss: Tensor, stop: bool) -> Tensor:
        """Put the means over all processes in place of the gradients and return that of the loss, a scalar.

        The same sum carries who wants to stop, and the floating-point buffers of process 0 to all others: its
        running averages are the network's, and what a checkpoint holds. Every process has to compute gradients of
        the same parameters. Raises ProcessLostError.
        """
        rank, size = self.part
        parameters = [parameter for parameter in network.parameters() if parameter.grad is not None]
        buffers = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        told = torch.stack([loss.detach().float(), torch.full_like(loss, float(stop), dtype=torch.float32)])
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        pieces = [*gradients, told, *(buffer if rank == 0 else torch.zeros_like(buffer) for buffer in buffers)]
        flat = torch.cat([piece.reshape(-1) for piece in pieces])
        sum_in_place(flat)

        summed = torch.split(flat, [piece.numel() for piece in pieces])
        for parameter, gradient in zip(parameters, summed, strict=False):
            assert parameter.grad is not None
            parameter.grad.copy_(gradient.div_(size).view_as(parameter))  # keeps how it lies in memory
        if rank > 0:
            for buffer, value in zip(buffers, summed[len(parameters) + 1 :], strict=True):
                buffer.copy_(value.view_as(buffer))
        total_loss, wishes = summed[len(parameters)]
        self.stop_agreed = bool(wishes > 0)
        mean: Tensor = total_loss / size
        return mean
