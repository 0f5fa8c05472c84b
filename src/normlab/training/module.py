"""The LightningModule around any network, loss and optimizer; one training batch of it is a chunk of steps."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from normlab.data.batches import BatchStream
from normlab.measurements.contract import Objective
from normlab.processes.stopping import StopRequest
from normlab.training.cuda_graph import GraphedStep
from normlab.training.data_parallel.gradients import DataParallel
from normlab.training.recipe import MakeOptimizer, Recipe
from normlab.training.schedules import ScheduledRates

AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""Precision of the training passes → type that autocast uses."""

LONGEST_CHUNK = 50
"""Steps after which Lightning's loop runs, even if nothing is observed."""


class TrainingModule(pl.LightningModule):
    """Makes training steps; everything measured is measured by callbacks, in inference mode, between two chunks.

    Lightning's loop costs about half a millisecond for each of its training batches, which is as much as a whole
    step of a small network. So one training batch is a range of steps, and the step is written out here.

    Args:
        network: from inputs (N, …) to logits (N, …, K).
        objective: from logits and targets (N, …) to the mean loss.
        precision: a key of `AUTOCAST`; weights, gradients and running averages are float32 in all.
        cuda_graph: record the step on the GPU and replay it, which excludes a schedule.
    """

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        optimizer: MakeOptimizer,
        batches: BatchStream,
        precision: str = "32-true",
        cuda_graph: bool = False,
        recipe: Recipe = Recipe(),  # noqa: B008  # it is frozen
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.objective = objective
        self.make_optimizer = optimizer
        self.recipe = recipe
        self.optimizer = recipe.build_optimizer(optimizer, dict(network.named_parameters()))
        self.rates = ScheduledRates(self.optimizer, recipe.schedule, batches.steps)
        self.batches = batches
        self.autocast_type = AUTOCAST[precision]
        # `self.device` is the CPU until Lightning trains, and stays so in a population.
        self.device_type = batches.split.targets.device.type
        self.scaler = torch.amp.GradScaler(self.device_type, enabled=self.autocast_type is torch.float16)
        self.parallel: DataParallel | None = None
        """Set if this process is one of several; it then computes a shard of each batch."""
        self.stop_request = StopRequest()
        """Ends training after the step in progress; see `should_stop`."""
        self.steps_done = 0
        self.diverged_at: int | None = None
        """The step, counted from 1, whose loss was not finite; training then ends."""
        self._step: Callable[[Tensor], Tensor] = self._step_on
        if cuda_graph:
            self._step = GraphedStep(self._step_on, self.optimizer)

    def training_step(self, steps: range, batch_idx: int) -> Tensor:
        """Make the steps of a chunk, until training should stop; return their losses, each before its update."""
        losses = []
        for step in steps:
            losses.append(self.step(step))
            if self.should_stop:
                break
        chunk_losses = torch.stack(losses)
        self.note_divergence(chunk_losses)
        # Lightning's `global_step` counts the steps of its own wrapper of the optimizer, which is bypassed here.
        self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.total.completed = self.steps_done
        return chunk_losses

    @property
    def should_stop(self) -> bool:
        """Whether training ends after the latest step: it diverged, or a stop was requested.

        Of several processes, all end after the same step, which they have agreed on.
        """
        is_requested = self.parallel.stop_agreed if self.parallel else self.stop_request.signal is not None
        return is_requested or self.diverged_at is not None

    def on_train_start(self) -> None:
        self.stop_request.install()  # Lightning has just taken SIGTERM, on which it would exit with status 0

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        """Return -1, on which Lightning ends training, if it should stop before this chunk."""
        return -1 if self.should_stop else None

    def step(self, step: int) -> Tensor:
        """Make a step, counted from 0; return its loss before the update."""
        if self.parallel is not None:
            self.parallel.set_generators(step, self.device)
        self.rates.set(step)
        loss = self._step(self.batches.indices(step, self.parallel.shard if self.parallel else None))
        self.steps_done += 1
        return loss

    def _step_on(self, indices: Tensor) -> Tensor:
        inputs, targets = self.batches.examples(indices)
        self.optimizer.zero_grad()
        with self.forward_context():
            loss = self.objective(self.network(inputs), targets)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self.parallel is not None:
            loss = self.parallel.average(self.network, loss, self.stop_request.signal is not None)
        if self.recipe.changes_gradients:
            self.scaler.unscale_(self.optimizer)
            self.recipe.adjust_gradients(dict(self.network.named_parameters()))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()

    def note_divergence(self, losses: Tensor) -> None:
        """Note which of the latest steps diverged, if the loss of one is not finite.

        Called once for many steps: on a GPU each look at a loss would wait for it.
        """
        finite = losses.isfinite().tolist()
        if not all(finite):
            self.steps_done += finite.index(False) + 1 - len(finite)
            self.diverged_at = self.steps_done

    @property
    def batches_done(self) -> int:
        """Number of training batches that the steps took."""
        return self.steps_done

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.network(inputs)
        return logits

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # a range, whose examples are on the device already

    def forward_context(self) -> AbstractContextManager[Any]:
        """Return a context that autocasts to the precision of the training passes, unless that is float32."""
        if self.autocast_type is None:
            return nullcontext()
        return torch.autocast(self.device_type, dtype=self.autocast_type)


def chunks(start: int, stop: int, ends_chunk: Callable[[int], bool]) -> Iterator[range]:
    """Yield the steps from `start` to `stop` in ranges; a step for which `ends_chunk` is true ends its range."""
    while start < stop:
        end = start + 1
        while not (ends_chunk(end) or end == stop or end - start == LONGEST_CHUNK):
            end += 1
        yield range(start, end)
        start = end
