"""Training as Lightning documents it, for callbacks and arguments of its Trainer: one batch per training step."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor

from normlab.data.batches import Batch, BatchStream
from normlab.training.module import TrainingModule


def plan_epochs(steps: int, length: int, accumulate: Callable[[int], int]) -> tuple[int, int]:
    """Return the number of epochs in which an optimizer makes some steps, and the number of batches in all of them.

    An epoch has `length` batches, the last one perhaps fewer. `accumulate` maps it to the number of batches whose
    gradients make a step; the last ones of an epoch make a step even if they are fewer.
    """
    epochs = batches = 0
    while steps > 0:
        per_step = accumulate(epochs)
        made = min(steps, math.ceil(length / per_step))
        steps -= made
        batches += min(made * per_step, length)
        epochs += 1
    return epochs, batches


class EpochLoader:
    """Yields the batches of a stream epoch by epoch, and keeps its place, from which a checkpoint resumes.

    Each iteration is the rest of the current epoch. One that a callback adds after the last epoch has ⌈N / B⌉ batches.
    """

    def __init__(self, batches: BatchStream) -> None:
        self.batches = batches
        self.length = math.ceil(len(batches.split.targets) / batches.batch_size)
        self.total = batches.steps
        """Number of batches in all planned epochs."""
        self.position = 0
        """Number of batches yielded."""

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Batch]:
        if self.position < self.total:
            end = min((self.position // self.length + 1) * self.length, self.total)
        else:
            end = self.total + self.length
        while self.position < end:
            self.position += 1
            yield self.batches.batch(self.position - 1)

    def state_dict(self) -> dict[str, int]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.position = state["position"]


class AutomaticModule(TrainingModule):
    """Makes one step per training batch by Lightning's automatic optimization.

    Lightning calls all hooks as it documents them, and clips and accumulates gradients. Without callbacks that act,
    weights and metrics are those of a `TrainingModule`, which is faster.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.automatic_optimization = True
        self.loader = EpochLoader(self.batches)
        self.has_stepped = False
        """Whether the latest batch ended with a step of the optimizer."""

    def plan(self, steps: int, accumulate: Callable[[int], int]) -> None:
        """Set the number of steps and the epochs that they take; see `plan_epochs`."""
        self.steps = steps
        self.epochs, self.loader.total = plan_epochs(steps, len(self.loader), accumulate)

    @property
    def batches_done(self) -> int:
        return self.loader.position

    def train_dataloader(self) -> EpochLoader:
        return self.loader

    def val_dataloader(self) -> range:
        return range(1)  # the observer measures once in each validation

    def validation_step(self, batch: int, batch_idx: int) -> None:
        """Leave everything to the observer."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # type: ignore[override]
        """Return the loss of a batch before the update; one that is not finite ends training."""
        inputs, targets = batch
        self.has_stepped = False
        loss = self.objective(self.network(inputs), targets)
        if not loss.isfinite():
            self.diverged_at = self.steps_done + 1
            self.trainer.should_stop = True
        return loss

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: torch.optim.Optimizer | LightningOptimizer,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Make a step, unless a callback has it skip the backward pass to collect running statistics.

        Lightning 2.6 makes a step with old gradients after the last batch of such an epoch.
        """
        if self.trainer.fit_loop._skip_backward:
            assert optimizer_closure is not None
            optimizer_closure()
            return
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.steps_done += 1
        self.has_stepped = True
        if self.steps_done < self.batches.steps:
            self.rates.set(self.steps_done)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Go on: a stop that is requested waits for the checkpoint after this batch."""

    def on_train_start(self) -> None:
        super().on_train_start()
        # Not in `optimizer_step`: callbacks see the rates of a step from the start of its batch.
        self.rates.set(self.steps_done)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Mask and clip the gradients that a step of the optimizer takes."""
        if self.recipe.changes_gradients:
            if getattr(optimizer, "_step_supports_amp_scaling", False):  # whose gradients Lightning leaves scaled
                self.scaler.unscale_(optimizer)
            self.recipe.adjust_gradients(dict(self.network.named_parameters()))
        super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_fit_start(self) -> None:
        # With a limit of steps Lightning cannot resume from the end of an epoch, which it does after this hook.
        self.trainer.fit_loop.epoch_loop.max_steps = -1

    def limit_steps(self) -> None:
        """Set `max_steps` again, unless a callback has added an epoch, in which it makes no step."""
        if self.trainer.max_epochs == self.epochs:
            self.trainer.fit_loop.epoch_loop.max_steps = self.steps
