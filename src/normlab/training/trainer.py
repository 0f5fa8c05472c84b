"""Lightning's Trainer as normlab sets it: a number of updates, and nothing measured or logged by itself."""

import logging
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.loggers import Logger


def trainer_for(
    settings: Mapping[str, Any],
    device: torch.device,
    directory: Path,
    callbacks: list[pl.Callback],
    loggers: list[Logger],
) -> pl.Trainer:
    """Return a Trainer that makes `steps` updates on one device; what it measures and keeps is up to the callbacks.

    The keys under `trainer` are passed on to Lightning and come last.
    """
    # Its notes on hardware and cloud logging would stand before every run of a sweep.
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    # Lightning 2.6 still asks torch 2.13's pytree in the way that torch has deprecated.
    warnings.filterwarnings("ignore", message=r".*LeafSpec.* is deprecated", category=FutureWarning)
    in_terminal = sys.stderr.isatty()
    arguments: dict[str, Any] = {
        "accelerator": "gpu" if device.type == "cuda" else "cpu",
        "devices": 1,
        "precision": settings["accelerator"]["precision"],
        "max_steps": settings["steps"],
        "max_epochs": 1,
        "limit_val_batches": 0,
        "num_sanity_val_steps": 0,
        "logger": loggers,
        "log_every_n_steps": settings["steps"],
        "callbacks": [*callbacks, ProgressBar()] if in_terminal else callbacks,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": in_terminal,
        "default_root_dir": directory,
    }
    return pl.Trainer(**{**arguments, **settings["trainer"]})


class ProgressBar(TQDMProgressBar):
    """Lightning's bar, which here counts updates: there are no epochs, and the logger's version is always empty."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=20)

    def on_train_epoch_start(self, trainer: pl.Trainer, *args: Any) -> None:
        super().on_train_epoch_start(trainer, *args)
        self.train_progress_bar.set_description("updates")

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}
