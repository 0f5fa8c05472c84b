"""The measurements of a run: built from its settings, tried, taken while it trains, and sent to its loggers."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor

from normlab import measurements
from normlab.config.checks import select_observations
from normlab.config.targets import call
from normlab.contracts import locate, require_contract
from normlab.data import Splits
from normlab.measurements import Measurement, Metric, OneByOneScore, State
from normlab.measurements.contract import Values, check_values
from normlab.measurements.schedule import Schedule, parse_schedules
from normlab.training.automatic import AutomaticModule
from normlab.training.module import TrainingModule

log = logging.getLogger(__name__)

Observations = dict[str, tuple[Schedule, Measurement]]
Evaluations = dict[str, Measurement]


def build_observations(settings: Mapping[str, Any], splits: Splits) -> Observations:
    """Build the measurements during training with their schedules. Raises ConfigurationError and ValueError."""
    rules, size = select_observations(settings), settings["batch_size"]
    built = {name: _build(f"observe.{name}", name, rule, splits, size) for name, rule in rules.items()}
    _require_unique_metrics("observe", built)
    return {name: (schedule, built[name]) for name, schedule in parse_schedules(rules).items()}


def build_evaluations(settings: Mapping[str, Any], splits: Splits) -> Evaluations:
    """Build the measurements after the last step. Raises ConfigurationError and ValueError."""
    rules, size = dict(settings["evaluate"]), settings["batch_size"]
    scored, one_by_one = rules.pop("splits"), rules.pop("one_by_one")
    built: Evaluations = {name: _build("evaluate.splits", name, {}, splits, size) for name in scored}
    if one_by_one:
        built["one_by_one"] = OneByOneScore(one_by_one, splits)
    for name, rule in rules.items():
        if rule is not None:
            built[name] = _build(f"evaluate.{name}", name, rule, splits, size)
    _require_unique_metrics("evaluate", built)
    return built


class Observer(pl.Callback):
    """Takes each measurement right after the steps at which it is due.

    `describe` maps a module and the number of earlier observations to what can be measured of it.
    """

    def __init__(self, observations: Observations, describe: Callable[[TrainingModule, int], State]) -> None:
        self.observations = observations
        self.describe = describe
        self._left_out: set[str] = set()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Observe what is due after the last step of a chunk; a chunk ends wherever something is."""
        assert isinstance(pl_module, TrainingModule)
        self.observe(pl_module, trainer.loggers)

    def observe(self, module: TrainingModule, loggers: Iterable[Logger]) -> None:
        """Measure what is due after the latest step of a module, and send it to the loggers."""
        for name in self.list_due(module.steps_done):
            send(loggers, self.observations[name][1], self.take(name, module), module.steps_done)

    def list_due(self, step: int) -> list[str]:
        """Return the names of the observations that are due after a step."""
        return [name for name, (schedule, _) in self.observations.items() if schedule.is_due(step)]

    def take(self, name: str, module: TrainingModule) -> Values:
        """Return what an observation gives after the latest step of a module."""
        schedule, measurement = self.observations[name]
        state = self.describe(module, schedule.count_before(module.steps_done))
        return self.measure(f"observe.{name}", measurement, state)

    def measure(self, key: str, measurement: Measurement, state: State) -> Values:
        """Return what a measurement gives; what fails or is not finite is left out, with a warning the first time."""
        try:
            with isolate_rng():
                values = check_values(measurement.measure(state))
            finite = {name: value for name, value in values.items() if _is_finite(value)}
        except torch.AcceleratorError:  # the device is lost, and the run can resume on another
            raise
        except Exception as error:
            self._warn(key, f"{type(error).__name__}: {error}", state.step)
            return {}
        for name in values.keys() - finite.keys():
            self._warn(f"{key}: {name}", "not finite", state.step)
        return finite

    def _warn(self, left_out: str, reason: str, step: int) -> None:
        if left_out not in self._left_out:
            self._left_out.add(left_out)
            log.warning("%s is left out: %s after step %d", left_out, reason, step)


WHILE_TRAINING = ("train_batch", "test_batch", "normalizers", "histograms")
"""Observations of the network that is trained. All others are of the network that will be evaluated, whose weights a
callback may average: of a split, or a user's own."""


class ValidatingObserver(Observer):
    """Measures within validations of Lightning, so that callbacks see the values as metrics and act on them.

    A validation follows each step after which an observation other than those `WHILE_TRAINING` is due.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._taken: dict[str, Values] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, AutomaticModule)
        pl_module.limit_steps()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Take the observations of the network that is trained, and let a validation follow if others are due."""
        assert isinstance(pl_module, AutomaticModule)
        due = self.list_due(pl_module.steps_done) if pl_module.has_stepped else []
        self._taken = {name: self.take(name, pl_module) for name in due if name in WHILE_TRAINING}
        trainer.limit_val_batches = int(len(self._taken) < len(due))
        if not trainer.limit_val_batches:
            self._send_taken(trainer.loggers, pl_module.steps_done)

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        assert isinstance(pl_module, AutomaticModule)
        step = pl_module.steps_done
        with torch.enable_grad():  # as between two chunks
            self._taken |= {name: self.take(name, pl_module) for name in self.list_due(step) if name not in self._taken}
        for name, values in self._taken.items():
            # What cannot be measured is NaN to a callback, which may not find it missing.
            metrics = dict.fromkeys(self.observations[name][1].metrics, math.nan) | values
            numbers = {metric: value for metric, value in metrics.items() if not isinstance(value, Tensor)}
            pl_module.log_dict(numbers, logger=False, batch_size=1)
        self._send_taken(trainer.loggers, step)

    def _send_taken(self, loggers: Iterable[Logger], step: int) -> None:
        for name, (_, measurement) in self.observations.items():
            if name in self._taken:
                send(loggers, measurement, self._taken[name], step)


def send(loggers: Iterable[Logger], measurement: Measurement, values: Values, step: int) -> None:
    """Send numbers to every logger, and tensors to TensorBoard as histograms."""
    numbers = {name: value for name, value in values.items() if not isinstance(value, Tensor)}
    for logger in loggers:
        is_tensorboard = isinstance(logger, TensorBoardLogger)
        if not is_tensorboard or getattr(measurement, "in_tensorboard", True):
            logger.log_metrics(numbers, step)
        for name, value in values.items():
            if isinstance(logger, TensorBoardLogger) and isinstance(value, Tensor):
                logger.experiment.add_histogram(name, value.detach().float(), step)


def _build(key: str, name: str, rule: Mapping[str, Any], splits: Splits, batch_size: int) -> Measurement:
    settings = {option: value for option, value in rule.items() if option not in ("first", "every", "unless")}
    measurement: Any = call({key: settings}, key) if settings else measurements.build(name, splits, batch_size)
    require_contract(measurement, Measurement, f"{key} is no measurement")
    metrics = measurement.metrics
    if not isinstance(metrics, Mapping) or not all(isinstance(metric, Metric) for metric in metrics.values()):
        raise ValueError(f"{key}: `metrics` of {locate(measurement)} must map names to normlab.measurements.Metric")
    return cast(Measurement, measurement)


def _require_unique_metrics(key: str, built: Evaluations) -> None:
    owners: dict[str, str] = {}
    for name, measurement in built.items():
        for metric in measurement.metrics:
            if metric in owners:
                raise ValueError(
                    f"{key}.{owners[metric]} and {key}.{name} both measure {metric}: rename it in the `metrics` of"
                    f" {locate(measurement)}"
                )
            owners[metric] = name


def _is_finite(value: float | Tensor) -> bool:
    values = torch.as_tensor(value)
    return values.numel() > 0 and bool(values.isfinite().all())
