"""Checkpoints from which a run goes on exactly as if it had never stopped, and how the latest sound one is found."""

import hashlib
import json
import logging
import os
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from normlab.runs.record import RunDirectory, write_atomically
from normlab.training.module import Classifier

log = logging.getLogger(__name__)

SHARE_OF_TIME = 0.005
"""Checkpoints may take this share of a run: after one that took a tenth of a second, the next is 20 seconds away."""

SHORTEST_INTERVAL_SECONDS = 5.0

Checkpoint = dict[str, Any]
"""What a file holds: weights and buffers, optimizer, updates made, the states of torch's global generators (for
modules that draw while they train), the size of `metrics.csv` in bytes (rows behind it are dropped), the seconds
trained, and the run's id."""


class Cadence:
    """Says when checkpoints are due: as often as what it takes to write them allows."""

    def __init__(self) -> None:
        self._written = time.monotonic()
        self._interval = SHORTEST_INTERVAL_SECONDS

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._written >= self._interval

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Time what is written in the context, on which the next date depends."""
        start = time.monotonic()
        yield
        self._written = time.monotonic()
        self._interval = max(SHORTEST_INTERVAL_SECONDS, (self._written - start) / SHARE_OF_TIME)


class Checkpoints(pl.Callback):
    """Keeps the last two checkpoints of a run.

    Args:
        directory: of the run.
        seconds_before: seconds trained before the checkpoint that was resumed from.
        networks: trained at once in this process, which share its time evenly.
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
            assert isinstance(pl_module, Classifier)
            with self._cadence.writing():
                self.save(pl_module)

    def save(self, module: Classifier) -> None:
        """Write a checkpoint; where the disk does not take it, warn, and the ones before stay.

        A diverged network is not kept: a run cut short after that is to diverge again, at the same update.
        """
        if module.diverged_at is not None:
            return
        content: Checkpoint = {
            "run_id": self.directory.path.name,
            **state_of(module),
            "metrics_size": self.directory.metrics.stat().st_size,
            "seconds": self.seconds,
        }
        try:
            keep(self.directory, lambda path: torch.save(content, path))
        except (OSError, RuntimeError) as error:  # torch's writer tells of a full disk by a RuntimeError
            log.warning(
                "no checkpoint after update %d, the one before stays (is the disk full?): %s", module.updates, error
            )


def state_of(module: Classifier) -> Checkpoint:
    """Return what `restore` takes."""
    return {
        "updates": module.updates,
        # A tensor that is part of a larger one would be written with all of it.
        "network": {name: value.clone() for name, value in module.network.state_dict().items()},
        "optimizer": module.optimizer.state_dict(),
        "scaler": module.scaler.state_dict(),
        "generator": torch.get_rng_state(),
        "gpu_generators": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore(module: Classifier, content: Checkpoint) -> None:
    """Put a module, and torch's global generators, in the state of a checkpoint."""
    module.network.load_state_dict(content["network"])
    module.optimizer.load_state_dict(content["optimizer"])
    module.scaler.load_state_dict(content["scaler"])
    module.updates = content["updates"]
    torch.set_rng_state(content["generator"])
    if content["gpu_generators"]:
        torch.cuda.set_rng_state_all(content["gpu_generators"])


def keep(directory: RunDirectory, save: Callable[[Path], None]) -> None:
    """Let `save` write a checkpoint and make it the last; whenever this is cut short, a sound one can be found.

    The digests of both are noted before either takes its place. Raises what `save` raises, and OSError.
    """
    written = directory.checkpoint.with_name(f".{directory.checkpoint.name}.{os.getpid()}")
    try:
        save(written)
        digests = [_digest(written), *_noted_digests(directory)[:2]]
        write_atomically(directory.digests, json.dumps(digests) + "\n")
        if directory.checkpoint.exists():
            directory.checkpoint.replace(directory.previous_checkpoint)
        written.replace(directory.checkpoint)
    finally:
        written.unlink(missing_ok=True)


def latest(directory: RunDirectory) -> Checkpoint | None:
    """Return the content of the latest sound checkpoint, saying which were passed over and why.

    Sound is what has a noted digest, belongs to this run, and whose metrics are there to go on from. It is read
    only after its digest was found right, and as plain data and tensors, so that no code in it can run.
    """
    for path in (directory.checkpoint, directory.previous_checkpoint):
        if path.exists():
            try:
                return _sound(path, directory)
            except (OSError, ValueError, KeyError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
                log.warning("%s is passed over: %s", path, error)
    return None


def _sound(path: Path, directory: RunDirectory) -> Checkpoint:
    if _digest(path) not in _noted_digests(directory):
        raise ValueError("it is truncated, corrupt, or was not written by this run")
    content: Checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    if content["run_id"] != directory.path.name:
        raise ValueError(f"it belongs to the run {content['run_id']}")
    if not directory.metrics.exists() or content["metrics_size"] > directory.metrics.stat().st_size:
        raise ValueError("metrics.csv lacks rows that were written before it")
    return content


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _noted_digests(directory: RunDirectory) -> list[str]:
    try:
        noted = json.loads(directory.digests.read_text())
    except (OSError, ValueError):
        return []
    return noted if isinstance(noted, list) else []
