"""Callbacks of Lightning and arguments of its Trainer, built and checked before a run starts."""

import inspect
import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import nn

from normlab.config.targets import call
from normlab.contracts import locate
from normlab.errors import ConfigurationError
from normlab.training.automatic import AutomaticModule
from normlab.training.observations import WHILE_TRAINING, Observations

log = logging.getLogger(__name__)

Callbacks = dict[str, pl.Callback]
"""By their keys, such as `callbacks.NAME`."""


def build_callbacks(settings: Mapping[str, Any]) -> Callbacks:
    """Build the callbacks of a run. Raises ConfigurationError, naming the key, if one is none."""
    rules = {f"callbacks.{name}": rule for name, rule in settings["callbacks"].items() if rule is not None}
    callbacks = {key: call({key: rule}, key) for key, rule in rules.items()}
    for key, callback in callbacks.items():
        if not isinstance(callback, pl.Callback):
            raise ConfigurationError(f"{key}: {locate(callback)} is no pytorch_lightning.Callback")
        if isinstance(callback, pl.callbacks.LearningRateFinder | pl.callbacks.BatchSizeFinder):
            raise ConfigurationError(
                f"{key}: {type(callback).__name__} trains before the run: sweep over the key instead"
            )
        if type(callback) is pl.callbacks.StochasticWeightAveraging:
            target = f"{__name__}.{StochasticWeightAveraging.__name__}"
            callbacks[key] = call({key: {**rules[key], "_target_": target}}, key)
    return callbacks


class StochasticWeightAveraging(pl.callbacks.StochasticWeightAveraging):
    """Lightning's callback, which also renews the running averages of normalizers that are none of torch's classes.

    After the last epoch, with the averaged weights, they become the means over the batches of a further epoch, as those
    of torch do.
    """

    @staticmethod
    def pl_module_contains_batch_norm(pl_module: pl.LightningModule) -> bool:
        return bool(_list_averaging(pl_module))

    def reset_batch_norm_and_save_state(self, pl_module: pl.LightningModule) -> None:
        super().reset_batch_norm_and_save_state(pl_module)
        others = (module for module in _list_averaging(pl_module) if module not in self.momenta)
        self.momenta |= {module: module.momentum for module in others}

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.fit_loop._skip_backward:  # in the further epoch
            for module in self.momenta:
                if module.momentum is not None:  # which has torch's take the mean
                    module.momentum = 1 / (batch_idx + 1)


def _list_averaging(network: nn.Module) -> list[Any]:
    return [module for module in network.modules() if getattr(module, "running_mean", None) is not None]


def quieten_lightning(level: int = logging.WARNING) -> None:
    """Suppress what Lightning logs below a level and warnings that concern no run, which would precede every run."""
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(level)
    # Lightning 2.6 uses torch's pytree in a way that torch 2.13 has deprecated.
    warnings.filterwarnings("ignore", message=r".*LeafSpec.* is deprecated", category=FutureWarning)
    # It says so even if the run does not use Slurm.
    warnings.filterwarnings("ignore", message=r"The `srun` command is available")


def check_trainer_arguments(arguments: Mapping[str, Any]) -> None:
    """Raise ConfigurationError if Lightning's Trainer does not accept some arguments."""
    known = inspect.signature(pl.Trainer).parameters
    for key in arguments.keys() - known.keys():
        raise ConfigurationError(f"trainer.{key} is no argument of Lightning's Trainer, which has {', '.join(known)}")
    # Lightning would take the tasks of Slurm or torchrun for its own processes.
    plain = {"logger": False, "enable_checkpointing": False, "accelerator": "cpu", "plugins": [LightningEnvironment()]}
    try:
        pl.Trainer(**{**plain, **arguments})
    except Exception as error:
        raise ConfigurationError(f"trainer: Lightning's Trainer refuses {dict(arguments)}: {error}") from error


def find_accumulation(settings: Mapping[str, Any], callbacks: Callbacks) -> Callable[[int], int]:
    """Return the function from an epoch to the number of batches whose gradients make a step."""
    for callback in callbacks.values():
        if isinstance(callback, pl.callbacks.GradientAccumulationScheduler):
            return callback.get_accumulate_grad_batches
    batches = settings["trainer"].get("accumulate_grad_batches", 1)
    return lambda epoch: batches


def check_automatic(
    settings: Mapping[str, Any], module: AutomaticModule, callbacks: Callbacks, observations: Observations
) -> None:
    """Raise ConfigurationError if a feature of Lightning lacks what it needs from the rest of a run."""
    clips_scaled = settings["trainer"].get("gradient_clip_val") and settings["accelerator"]["precision"] == "16-mixed"
    if clips_scaled and getattr(module.optimizer, "_step_supports_amp_scaling", False):
        raise ConfigurationError(
            "trainer.gradient_clip_val: in 16-mixed a fused optimizer scales the gradients back as it makes its step,"
            " after clipping: choose optimizer.fused=false"
        )
    for key in (key for key, callback in callbacks.items() if isinstance(callback, StochasticWeightAveraging)):
        if module.recipe.schedule is not None:
            raise ConfigurationError(f"{key} and schedule would both set the learning rate: choose schedule=constant")
        for layer in _list_averaging(module):
            if not hasattr(layer, "momentum"):
                raise ConfigurationError(
                    f"{key} sets the attribute momentum of normalizers to renew their running averages, and"
                    f" {locate(layer)} has none"
                )
    _require_metrics(callbacks, observations, module.steps)


def _require_metrics(callbacks: Callbacks, observations: Observations, steps: int) -> None:
    """Raise ConfigurationError if a metric that a callback monitors is not observed in every validation."""
    for key, callback in callbacks.items():
        monitored = getattr(callback, "monitor", None)
        if monitored is None:
            continue
        owners = [name for name, (_, measurement) in observations.items() if monitored in measurement.metrics]
        if not owners:
            metrics = ", ".join(metric for _, measurement in observations.values() for metric in measurement.metrics)
            raise ConfigurationError(f"{key} monitors {monitored!r}, which is none of the observed metrics: {metrics}")
        schedule, _ = observations[owners[0]]
        validating = {name: other for name, (other, _) in observations.items() if name not in WHILE_TRAINING}
        for name, other in validating.items():
            alone = (step for step in range(1, steps + 1) if other.is_due(step) and not schedule.is_due(step))
            if (step := next(alone, None)) is not None:
                raise ConfigurationError(
                    f"{key} monitors {monitored!r} in every validation, but after step {step} observe.{name} is due and"
                    f" observe.{owners[0]} is not: give both the same first and every, or set observe.{name}=null"
                )


def warn_of_inexact_resumption(callbacks: Callbacks, arguments: Mapping[str, Any]) -> None:
    """Name what an interrupted run does not resume exactly with."""
    timers = [key for key, callback in callbacks.items() if isinstance(callback, pl.callbacks.Timer)]
    if arguments.get("max_time") is not None:
        timers.append("trainer.max_time")
    for key in timers:
        log.warning("%s ends a run by the clock, after another step each time: its results are not reproducible", key)
    for key, callback in callbacks.items():
        keeps_state = any(is_overridden(hook, callback, pl.Callback) for hook in ("state_dict", "on_save_checkpoint"))
        if not keeps_state and not type(callback).__module__.startswith("pytorch_lightning.") and vars(callback):
            log.warning(
                "%s: %s has attributes, but no method state_dict: an interrupted run does not resume exactly if they"
                " change during training",
                key,
                locate(callback),
            )
