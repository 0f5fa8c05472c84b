"""Fitting by Lightning's Trainer: on one device, with nothing measured, kept or printed by the Trainer itself."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.loggers import Logger
from tqdm import tqdm

from normlab.processes.stopping import StopRequest
from normlab.training.build import Parts
from normlab.training.module import TrainingModule, chunks


def fit(
    parts: Parts,
    settings: Mapping[str, Any],
    callbacks: list[pl.Callback],
    loggers: Sequence[Logger] = (),
    directory: Path | None = None,
    progress: bool = False,
) -> None:
    """Train a module from its latest step to the last one, in one epoch of Lightning over chunks of steps.

    Args:
        parts: of the run.
        settings: of the run.
        callbacks: all that act while it trains.
        loggers: for metrics.
        directory: of the run.
        progress: show a bar.
    """
    # Its notes on hardware and cloud logging would precede every run of a sweep.
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    # Lightning 2.6 uses torch's pytree in a way that torch 2.13 has deprecated.
    warnings.filterwarnings("ignore", message=r".*LeafSpec.* is deprecated", category=FutureWarning)
    # It says so even if the run does not use Slurm.
    warnings.filterwarnings("ignore", message=r"The `srun` command is available")
    module, device = parts.module, parts.device
    if settings["accelerator"]["compile"]:
        module.network.compile()  # the network alone: a compiled LightningModule cannot log
    arguments: dict[str, Any] = {
        "accelerator": "gpu" if device.type == "cuda" else "cpu",
        "devices": 1 if device.type == "cpu" else [device.index],
        "max_epochs": 1,
        "limit_val_batches": 0,
        "num_sanity_val_steps": 0,
        "logger": [*loggers],
        "log_every_n_steps": 1,
        "callbacks": [*callbacks, *[ProgressBar()] * progress],
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,
        "default_root_dir": directory,
        # Else it takes the tasks of Slurm or torchrun for its own processes.
        "plugins": [LightningEnvironment()],
    }
    trainer = pl.Trainer(**{**arguments, **settings["trainer"]})
    trainer.fit(module, chunks(module.steps_done, settings["steps"], parts.is_due))
    module.to(device)  # Lightning leaves a network on the CPU after fitting


class ProgressBar(pl.Callback):
    """A bar over the steps; Lightning's own would count chunks of them."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        self.bar = tqdm(total=pl_module.batches.steps, initial=pl_module.steps_done, unit=" steps", dynamic_ncols=True)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        assert isinstance(pl_module, TrainingModule)
        self.bar.update(pl_module.steps_done - self.bar.n)

    def teardown(self, *args: Any, **kwargs: Any) -> None:
        self.bar.close()


class Stopping(pl.Callback):
    """Ends training after the step in progress, on request."""

    def __init__(self, request: StopRequest) -> None:
        self.request = request

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        self.request.install()  # Lightning has just taken SIGTERM, on which it would exit with status 0
        self.request.on_request = pl_module.stop
        if self.request.signal is not None:  # requested before training began
            pl_module.stop()
