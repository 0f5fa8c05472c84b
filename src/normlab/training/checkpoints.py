"""Checkpoints from which a run resumes exactly as if it had never stopped, and the search for the latest sound one."""

import copy
import logging
import os
import pickle
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.model_helpers import is_overridden

from normlab.runs.directory import RunDirectory
from normlab.training.automatic import AutomaticModule
from normlab.training.module import TrainingModule

log = logging.getLogger(__name__)

SHARE_OF_TIME = 0.005
"""Share of a run that checkpoints may take: after one that took a tenth of a second, the next is due in 20 seconds."""

SHORTEST_INTERVAL_SECONDS = 5.0

TRAINER_STATE = "loops"
"""Key of a checkpoint that shows that Lightning's Trainer wrote it."""

Checkpoint = dict[str, Any]
"""The content of a file: weights and buffers, optimizer, steps done, the states of torch's global generators (for
modules that draw while they train), the size of `metrics.csv` in bytes (rows behind it are dropped), the seconds
trained, and the run's id. If Lightning's Trainer keeps its own state there, that holds weights and optimizer."""


class Cadence:
    """The dates of checkpoints: as often as the time to write them allows."""

    def __init__(self) -> None:
        self._written = time.monotonic()
        self._interval = SHORTEST_INTERVAL_SECONDS

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._written >= self._interval

    @contextmanager
    def time_writing(self) -> Iterator[None]:
        """Time what is written in this context; the next date depends on it."""
        start = time.monotonic()
        yield
        self._written = time.monotonic()
        self._interval = max(SHORTEST_INTERVAL_SECONDS, (self._written - start) / SHARE_OF_TIME)


class Checkpoints(pl.Callback):
    """Keeps the last two checkpoints of a run; networks trained at once in this process share its time evenly."""

    def __init__(self, directory: RunDirectory, seconds_before: float, networks: int) -> None:
        self.directory = directory
        self.seconds_before = seconds_before
        self.networks = networks
        self._started = time.monotonic()
        self.cadence = Cadence()

    @property
    def seconds(self) -> float:
        """Seconds trained, those before a resumption included."""
        return self.seconds_before + (time.monotonic() - self._started) / self.networks

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        assert isinstance(pl_module, TrainingModule)
        if self.cadence.is_due:
            self.save(pl_module)

    def save(self, module: TrainingModule) -> None:
        """Keep a checkpoint.

        A diverged network is not kept: a run cut short after that diverges again, at the same step.
        """
        if module.diverged_at is None:
            content = {**self.describe(), **capture_state(module)}
            self.write(lambda path: torch.save(content, path), module.steps_done)

    def write(self, save: Callable[[Path], None], step: int) -> None:
        """Let `save` write a checkpoint; if the disk does not take it, warn and keep the previous ones."""
        try:
            with self.cadence.time_writing():
                keep(self.directory, save)
        except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError on a full disk
            log.warning("no checkpoint after step %d, the previous one stays (is the disk full?): %s", step, error)

    def describe(self) -> Checkpoint:
        """Return what a checkpoint says of the run and its directory."""
        return {
            "run_id": self.directory.path.name,
            "metrics_size": self.directory.metrics.stat().st_size,
            "seconds": self.seconds,
        }


class TrainerCheckpoints(Checkpoints, pl.callbacks.Checkpoint):
    """Keeps checkpoints that hold the state of the Trainer and of its callbacks too, from which Lightning resumes.

    Lightning resumes exactly after a batch that ends with a step, and at the end of an epoch. Within an epoch it does
    not call `on_train_epoch_start` again, so that with callbacks that act there only ends of epochs are kept.
    """

    def setup(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        self.within_epochs = not any(is_overridden("on_train_epoch_start", each, pl.Callback) for each in callbacks)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        if not trainer.is_last_batch and not trainer.limit_val_batches:
            self._keep_and_stop(trainer, pl_module, self.within_epochs)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_last_batch:
            self._keep_and_stop(trainer, pl_module, self.within_epochs)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._keep_and_stop(trainer, pl_module, True)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint) -> None:
        assert isinstance(pl_module, AutomaticModule)
        checkpoint |= {**self.describe(), **capture_progress(pl_module)}

    def _keep_and_stop(self, trainer: pl.Trainer, module: pl.LightningModule, is_exact: bool) -> None:
        """Keep a checkpoint if one is due, and stop if that is requested.

        None is kept once training is to end: what a callback ended would go on from it.
        """
        assert isinstance(module, AutomaticModule)
        if trainer.should_stop or module.steps_done >= module.steps:
            return
        if is_exact and module.has_stepped and (module.stop_request.signal is not None or self.cadence.is_due):
            self.write(trainer.save_checkpoint, module.steps_done)
        trainer.should_stop = module.stop_request.signal is not None


def capture_state(module: TrainingModule) -> Checkpoint:
    """Return the state of a module and of torch's global generators, for `restore`."""
    return {
        **capture_progress(module),
        "network": {name: _copy(value) for name, value in module.network.state_dict().items()},
        "optimizer": module.optimizer.state_dict(),
        "scaler": module.scaler.state_dict(),
    }


def capture_progress(module: TrainingModule) -> Checkpoint:
    """Return the steps done, the batches that they took, and the state of torch's global generators."""
    return {
        "steps_done": module.steps_done,
        "batches_done": module.batches_done,
        "generator": torch.get_rng_state(),
        "gpu_generators": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _copy(value: Any) -> Any:
    """Copy a part of a state: extra state, or a tensor, which may be a view; torch would write all of its base."""
    return value.clone() if isinstance(value, torch.Tensor) else copy.deepcopy(value)


def restore(module: TrainingModule, content: Checkpoint) -> None:
    """Put a module, and torch's global generators, in the state of a checkpoint.

    If that holds the state of Lightning's Trainer, this restores weights and optimizer as it starts.
    """
    if TRAINER_STATE not in content:
        module.network.load_state_dict(content["network"])
        module.optimizer.load_state_dict(content["optimizer"])
        for weight, state in module.optimizer.state.items():
            state.update({key: lay_like(value, weight) for key, value in state.items() if torch.is_tensor(value)})
        module.scaler.load_state_dict(content["scaler"])
    module.steps_done = content["steps_done"]
    if isinstance(module, AutomaticModule):
        # Lightning keeps it too, but does not restore it at the end of an epoch.
        module.loader.position = content["batches_done"]
    torch.set_rng_state(content["generator"])
    if content["gpu_generators"]:
        torch.cuda.set_rng_state_all(content["gpu_generators"])


def lay_like(value: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return a part of an optimizer's state, laid out in memory like the weight if it has the weight's shape.

    Fused optimizers rely on it. A population lays out some weights, and their states, differently from a lone network.
    """
    if value.shape != weight.shape or value.stride() == weight.stride():
        return value
    return torch.empty_like(weight, dtype=value.dtype, device=value.device).copy_(value)


def keep(directory: RunDirectory, save: Callable[[Path], None]) -> None:
    """Let `save` write a checkpoint and make it the latest; a sound one remains whenever this is cut short.

    Raises what `save` raises, and OSError.
    """
    written = directory.checkpoint.with_name(f".{directory.checkpoint.name}.{os.getpid()}")
    try:
        save(written)
        if directory.checkpoint.exists():
            directory.checkpoint.replace(directory.previous_checkpoint)
        written.replace(directory.checkpoint)
    finally:
        written.unlink(missing_ok=True)


def latest(directory: RunDirectory) -> Checkpoint | None:
    """Return the content and the `path` of the latest sound checkpoint, and log which were skipped and why.

    A checkpoint is sound if its checksums are right, it belongs to this run, and the metrics before it are there. It is
    read as plain data and tensors, so that no code in it can run.
    """
    for path in (directory.checkpoint, directory.previous_checkpoint):
        if path.exists():
            try:
                return {**_read(path, directory), "path": path}
            except (OSError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
                log.warning("skipping %s: %s", path, error)
    return None


def _read(path: Path, directory: RunDirectory) -> Checkpoint:
    # torch writes a zip file with checksums, but does not compare them when it reads.
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"it is corrupt: the checksum of {damaged} is wrong")
    content: Checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    if content["run_id"] != directory.path.name:
        raise ValueError(f"it belongs to the run {content['run_id']}")
    if not directory.metrics.exists() or content["metrics_size"] > directory.metrics.stat().st_size:
        raise ValueError("metrics.csv lacks rows that were written before it")
    return content
