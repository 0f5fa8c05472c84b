"""The measurements of a run: built from its settings, tried, taken while it trains, and sent to its loggers."""

import logging
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
from normlab.data import Task
from normlab.measurements import Measurement, Metric, OneByOneScore, State
from normlab.measurements.contract import Values, check_values
from normlab.measurements.schedule import Schedule, parse_schedules
from normlab.training.module import TrainingModule

log = logging.getLogger(__name__)

Observations = dict[str, tuple[Schedule, Measurement]]
Evaluations = dict[str, Measurement]


def build_observations(settings: Mapping[str, Any], task: Task) -> Observations:
    """Build the measurements during training with their schedules. Raises ConfigurationError and ValueError."""
    rules = select_observations(settings)
    built = {name: _build(f"observe.{name}", name, rule, task) for name, rule in rules.items()}
    _require_unique_metrics("observe", built)
    return {name: (schedule, built[name]) for name, schedule in parse_schedules(rules).items()}


def build_evaluations(settings: Mapping[str, Any], task: Task) -> Evaluations:
    """Build the measurements after the last step. Raises ConfigurationError and ValueError."""
    rules = {name: rule for name, rule in settings["evaluate"].items() if name not in ("splits", "one_by_one")}
    built: Evaluations = {name: _build("evaluate.splits", name, {}, task) for name in settings["evaluate"]["splits"]}
    if settings["evaluate"]["one_by_one"]:
        built["one_by_one"] = OneByOneScore(settings["evaluate"]["one_by_one"], task)
    built |= {name: _build(f"evaluate.{name}", name, rule, task) for name, rule in rules.items() if rule is not None}
    _require_unique_metrics("evaluate", built)
    return built


class Observer(pl.Callback):
    """Takes each measurement right after the steps at which it is due.

    Args:
        observations: schedules and measurements, by name.
        describe: from a module and the number of earlier observations to what can be measured of it.
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
        step = module.steps_done
        for name, (schedule, measurement) in self.observations.items():
            if schedule.is_due(step):
                state = self.describe(module, schedule.count_before(step))
                send(loggers, measurement, self.measure(f"observe.{name}", measurement, state), step)

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


def send(loggers: Iterable[Logger], measurement: Measurement, values: Values, step: int) -> None:
    """Send numbers to every logger, and tensors to TensorBoard as histograms."""
    numbers = {name: value for name, value in values.items() if not isinstance(value, Tensor)}
    for logger in loggers:
        if not isinstance(logger, TensorBoardLogger):
            logger.log_metrics(numbers, step)
            continue
        if getattr(measurement, "in_tensorboard", True):
            logger.log_metrics(numbers, step)
        for name, value in values.items():
            if isinstance(value, Tensor):
                logger.experiment.add_histogram(name, value.detach().float(), step)


def _build(key: str, name: str, rule: Mapping[str, Any], task: Task) -> Measurement:
    settings = {option: value for option, value in rule.items() if option not in ("first", "every", "unless")}
    measurement: Any = call({key: settings}, key) if settings else measurements.build(name, task)
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
