"""Lightning's Trainer as normlab sets it: one device, and nothing measured, kept or printed by itself."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.loggers import Logger
from tqdm import tqdm

from normlab.processes.stopping import StopRequest
from normlab.training.module import Classifier


def trainer_for(
    device: torch.device,
    directory: Path,
    callbacks: list[pl.Callback],
    loggers: list[Logger],
    progress: bool,
    further: Mapping[str, Any],
) -> pl.Trainer:
    """Return a Trainer that goes once over the stretches of updates it is given to fit.

    Args:
        device: the device to train on.
        directory: the run directory.
        callbacks: what observes the training.
        loggers: where metrics go.
        progress: show a bar.
        further: arguments of the user's own, which come last.
    """
    # Its notes on hardware and cloud logging would stand before every run of a sweep.
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    # Lightning 2.6 still asks torch 2.13's pytree in the way that torch has deprecated.
    warnings.filterwarnings("ignore", message=r".*LeafSpec.* is deprecated", category=FutureWarning)
    # It says so even where Slurm is no concern of the run.
    warnings.filterwarnings("ignore", message=r"The `srun` command is available")
    arguments: dict[str, Any] = {
        "accelerator": "gpu" if device.type == "cuda" else "cpu",
        "devices": 1 if device.type == "cpu" else [device.index],
        "max_epochs": 1,
        "limit_val_batches": 0,
        "num_sanity_val_steps": 0,
        "logger": loggers,
        "log_every_n_steps": 1,
        "callbacks": [*callbacks, ProgressBar()] if progress else callbacks,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,
        "default_root_dir": directory,
        # Else it takes the tasks of a Slurm job or of torchrun for processes of its own.
        "plugins": [LightningEnvironment()],
    }
    return pl.Trainer(**{**arguments, **further})


class ProgressBar(pl.Callback):
    """A bar over the updates; Lightning's own would count stretches of them."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Classifier)
        self.bar = tqdm(total=pl_module.batches.steps, initial=pl_module.updates, unit=" updates", dynamic_ncols=True)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        assert isinstance(pl_module, Classifier)
        self.bar.update(pl_module.updates - self.bar.n)

    def teardown(self, *args: Any, **kwargs: Any) -> None:
        self.bar.close()


class Stopping(pl.Callback):
    """Passes a request to stop on to the Trainer, whose loop ends after the update under way."""

    def __init__(self, request: StopRequest) -> None:
        self.request = request

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Classifier)
        self.request.listen()  # Lightning has just taken SIGTERM, and would end with status 0 on it
        self.request.when_asked = pl_module.ask_to_stop
        if self.request.signal is not None:  # asked before training began
            pl_module.ask_to_stop()
