"""The LightningModule around any network, objective and optimizer; one training batch of it is a stretch of updates."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from normlab.data.batches import BatchStream
from normlab.measurements.scores import Objective
from normlab.training.cuda_graph import CapturedUpdate
from normlab.training.data_parallel.gradients import DataParallel

AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""Precision of the training passes → type that autocast uses."""

LONGEST_STRETCH = 50
"""Updates after which Lightning gets a turn, even where nothing is observed."""


class Classifier(pl.LightningModule):
    """Makes updates; everything measured is measured by callbacks, in inference mode, between two stretches.

    Lightning's loop costs about half a millisecond for each of its training batches, which is as much as a whole
    update of a small network. So one training batch is a range of steps, and the update is written out here.

    Args:
        network: from images (N, C, H, W) to logits (N, num_classes).
        objective: from logits and labels (N,) to the mean loss.
        optimizer: from the parameters to an optimizer.
        batches: the training batches by step.
        precision: a key of `AUTOCAST`; weights, gradients and running averages are float32 in all.
        parallel: what makes this process one of several; it then computes a part of each batch.
        cuda_graph: record the update on the GPU and replay it.
    """

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        batches: BatchStream,
        precision: str = "32-true",
        parallel: DataParallel | None = None,
        cuda_graph: bool = False,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.objective = objective
        self.optimizer_for = optimizer
        self.optimizer = optimizer(network.parameters())
        self.batches = batches
        self.autocast_type = AUTOCAST[precision]
        # `self.device` is the CPU until Lightning trains, and stays so in a population.
        self.device_type = batches.split.labels.device.type
        self.scaler = torch.amp.GradScaler(self.device_type, enabled=self.autocast_type is torch.float16)
        self.parallel = parallel
        self.stop_asked = False
        """Whether this process, one of several, wants training to end."""
        self.updates = 0
        """Updates made."""
        self.diverged_at: int | None = None
        """The update, counted from 1, whose loss was not finite; training then ends."""
        self._make_update: Callable[[Tensor], Tensor] = self._update_with
        if cuda_graph:
            self._make_update = CapturedUpdate(self._update_with, self.optimizer)

    def training_step(self, steps: range, batch_idx: int) -> Tensor:
        """Make one update for each step, until training should stop; return their losses, each before its update."""
        losses = []
        for step in steps:
            losses.append(self.update(step))
            if self.parallel is not None:
                self.trainer.should_stop = self.parallel.stop_agreed
            if self.trainer.should_stop:
                break
        told = torch.stack(losses)
        if self.has_diverged(told):
            self.trainer.should_stop = True
        # Lightning's `global_step` counts the steps of its own wrapper of the optimizer, which is passed by.
        self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.total.completed = self.updates
        return told

    def update(self, step: int) -> Tensor:
        """Make the update of a step, counted from 0; return its loss, before it."""
        if self.parallel is not None:
            self.parallel.seed_update(step, self.device)
        loss = self._make_update(self.batches.indices(step, self.parallel.part if self.parallel else None))
        self.updates += 1
        return loss

    def _update_with(self, indices: Tensor) -> Tensor:
        images, labels = self.batches.examples(indices)
        self.optimizer.zero_grad()
        with self.forward_context():
            loss = self.objective(self.network(images), labels)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self.parallel is not None:
            loss = self.parallel.average(self.network, loss, self.stop_asked)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()

    def has_diverged(self, losses: Tensor) -> bool:
        """Return whether a loss of the latest updates, in their order, is not finite, and note which one.

        Asked once for many updates: on a GPU each look at a loss would wait for it.
        """
        finite = losses.isfinite().tolist()
        if all(finite):
            return False
        self.updates += finite.index(False) + 1 - len(finite)
        self.diverged_at = self.updates
        return True

    def ask_to_stop(self) -> None:
        """End training after the update under way; of several processes, all end it after the one that tells them."""
        if self.parallel is None:
            self.trainer.should_stop = True
        else:
            self.stop_asked = True

    def on_train_batch_end(self, *args: Any) -> None:
        # A callback may set `should_stop` in this process alone, which must not leave the others waiting.
        if self.parallel is not None and self.trainer.should_stop and self.diverged_at is None:
            self.stop_asked = True
            self.trainer.should_stop = self.parallel.stop_agreed

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # a range; the images that it stands for lie on the device already

    def forward_context(self) -> AbstractContextManager[Any]:
        """Autocast to the precision of the training passes, where that is another than float32."""
        if self.autocast_type is None:
            return nullcontext()
        return torch.autocast(self.device_type, dtype=self.autocast_type)


def stretches(start: int, stop: int, ends: Callable[[int], bool]) -> Iterator[range]:
    """Yield the steps from `start` to `stop` in ranges, such that an update of which `ends` is true ends its range."""
    while start < stop:
        end = start + 1
        while not (ends(end) or end == stop or end - start == LONGEST_STRETCH):
            end += 1
        yield range(start, end)
        start = end
