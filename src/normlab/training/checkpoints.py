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

from normlab.runs.directory import RunDirectory
from normlab.training.module import TrainingModule

log = logging.getLogger(__name__)

SHARE_OF_TIME = 0.005
"""Share of a run that checkpoints may take: after one that took a tenth of a second, the next is due in 20 seconds."""

SHORTEST_INTERVAL_SECONDS = 5.0

Checkpoint = dict[str, Any]
"""The content of a file: weights and buffers, optimizer, steps done, the states of torch's global generators (for
modules that draw while they train), the size of `metrics.csv` in bytes (rows behind it are dropped), the seconds
trained, and the run's id."""


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
    """Keeps the last two checkpoints of a run.

    Args:
        directory: of the run.
        seconds_before: seconds trained before the checkpoint that was resumed from.
        networks: trained at once in this process; they share its time evenly.
    """

    def __init__(self, directory: RunDirectory, seconds_before: float = 0.0, networks: int = 1) -> None:
        self.directory = directory
        self.seconds_before = seconds_before
        self.networks = networks
        self._started = time.monotonic()
        self._cadence = Cadence()

    @property
    def seconds(self) -> float:
        """Seconds trained, those before a resumption included."""
        return self.seconds_before + (time.monotonic() - self._started) / self.networks

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        if self._cadence.is_due:
            assert isinstance(pl_module, TrainingModule)
            with self._cadence.time_writing():
                self.save(pl_module)

    def save(self, module: TrainingModule) -> None:
        """Write a checkpoint; if the disk does not take it, warn and keep the previous ones.

        A diverged network is not kept: a run cut short after that diverges again, at the same step.
        """
        if module.diverged_at is not None:
            return
        content: Checkpoint = {
            "run_id": self.directory.path.name,
            **capture_state(module),
            "metrics_size": self.directory.metrics.stat().st_size,
            "seconds": self.seconds,
        }
        try:
            keep(self.directory, lambda path: torch.save(content, path))
        except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError on a full disk
            log.warning(
                "no checkpoint after step %d, the previous one stays (is the disk full?): %s", module.steps_done, error
            )


def capture_state(module: TrainingModule) -> Checkpoint:
    """Return the state of a module and of torch's global generators, for `restore`."""
    return {
        "steps_done": module.steps_done,
        "network": {name: _copy(value) for name, value in module.network.state_dict().items()},
        "optimizer": module.optimizer.state_dict(),
        "scaler": module.scaler.state_dict(),
        "generator": torch.get_rng_state(),
        "gpu_generators": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _copy(value: Any) -> Any:
    """Copy a part of a state: extra state, or a tensor, which may be a view; torch would write all of its base."""
    return value.clone() if isinstance(value, torch.Tensor) else copy.deepcopy(value)


def restore(module: TrainingModule, content: Checkpoint) -> None:
    """Put a module, and torch's global generators, in the state of a checkpoint."""
    module.network.load_state_dict(content["network"])
    module.optimizer.load_state_dict(content["optimizer"])
    module.scaler.load_state_dict(content["scaler"])
    module.steps_done = content["steps_done"]
    torch.set_rng_state(content["generator"])
    if content["gpu_generators"]:
        torch.cuda.set_rng_state_all(content["gpu_generators"])


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
    """Return the content of the latest sound checkpoint, and log which were skipped and why.

    A checkpoint is sound if its checksums are right, it belongs to this run, and the metrics before it are there. It is
    read as plain data and tensors, so that no code in it can run.
    """
    for path in (directory.checkpoint, directory.previous_checkpoint):
        if path.exists():
            try:
                return _read(path, directory)
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
