"""Fitting by Lightning's Trainer: on one device, with nothing measured, kept or printed by the Trainer itself."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins import MixedPrecision
from tqdm import tqdm

from normlab.training.automatic import AutomaticModule
from normlab.training.build import Parts
from normlab.training.callbacks import quieten_lightning
from normlab.training.module import TrainingModule, chunks


def fit(
    parts: Parts,
    settings: Mapping[str, Any],
    callbacks: Sequence[pl.Callback] = (),
    loggers: Sequence[Logger] = (),
    directory: Path | None = None,
    progress: bool = False,
    checkpoint: Path | None = None,
) -> None:
    """Train a module from its latest step to the last one.

    To Lightning a `TrainingModule` has one epoch of chunks of steps, an `AutomaticModule` the epochs of its data, which
    the Trainer resumes from a checkpoint.
    """
    module, device = parts.module, parts.device
    if settings["accelerator"]["compile"]:
        module.network.compile()  # the network alone: a compiled LightningModule cannot log
    bars = [callback for callback in callbacks if isinstance(callback, pl.callbacks.ProgressBar)]
    has_bar = bool(bars) or settings["trainer"].get("enable_progress_bar", False)
    arguments: dict[str, Any] = {
        "accelerator": "gpu" if device.type == "cuda" else "cpu",
        "devices": 1 if device.type == "cpu" else [device.index],
        "max_epochs": 1,
        "limit_val_batches": 0,
        "num_sanity_val_steps": 0,
        "logger": [*loggers],
        "log_every_n_steps": 1,
        "callbacks": [*callbacks, *[ProgressBar()] * (progress and not has_bar)],
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": has_bar,
        "default_root_dir": directory,
        # Else it takes the tasks of Slurm or torchrun for its own processes.
        "plugins": [LightningEnvironment()],
    }
    if isinstance(module, AutomaticModule):
        trainer = pl.Trainer(**_describe_automatic(arguments, module, settings))
        speaks = settings["trainer"].get("profiler") or any(getattr(each, "verbose", False) for each in callbacks)
        quieten_lightning(logging.INFO if speaks else logging.WARNING)
        trainer.fit(module, ckpt_path=checkpoint, weights_only=True)
    else:
        trainer = pl.Trainer(**{**arguments, **settings["trainer"]})
        trainer.fit(module, chunks(module.steps_done, settings["steps"], parts.is_due))
    module.to(device)  # Lightning leaves a network on the CPU after fitting


def _describe_automatic(
    arguments: Mapping[str, Any], module: AutomaticModule, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a Trainer for an `AutomaticModule`."""
    precision, plugins = settings["accelerator"]["precision"], [*arguments["plugins"]]
    if module.autocast_type is not None:
        # Lightning's own choice on a CPU is bfloat16, also for 16-mixed.
        scaler = module.scaler if precision == "16-mixed" else None
        plugins.append(MixedPrecision(precision, module.device_type, scaler))
    return {
        **arguments,
        "val_check_interval": 1,  # the observer sets after which batch a validation follows
        "check_val_every_n_epoch": None,
        "enable_checkpointing": True,
        "plugins": plugins,
        **settings["trainer"],
        "max_epochs": module.epochs,
        "max_steps": module.steps,
    }


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
