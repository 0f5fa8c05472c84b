"""Lightning loggers for metrics: `metrics.csv` for machines, TensorBoard for people, and those that a config names."""

import csv
import inspect
import math
import os
import tempfile
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, TensorBoardLogger
from torch.utils.tensorboard.summary import hparams

from normlab.config.targets import bind
from normlab.errors import ConfigurationError
from normlab.runs.identity import flatten

Hyperparameters = dict[str, bool | int | float | str]
MakeLogger = Callable[[Path], Logger]
"""From the directory of a run to a logger."""


class CsvLogger(Logger):
    """Writes `step,name,value`, one row per value; values have full precision.

    A value that is logged twice for a step in a row, as `LearningRateMonitor` does, is written once.

    If a run resumes, `size` bytes of the file are kept; rows behind them are dropped.
    """

    def __init__(self, path: Path, size: int = 0) -> None:
        super().__init__()
        if size:
            os.truncate(path, size)
        # Line by line, so that a run can be watched, and observations survive a crash.
        self._file = path.open("a" if size else "w", encoding="utf-8", newline="", buffering=1)
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._latest: dict[str, int | None] = {}
        if not size:
            self._rows.writerow(["step", "name", "value"])

    @property
    def name(self) -> str:
        return "callbacks"  # `ModelCheckpoint` writes to `callbacks/checkpoints` of a run directory

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The run's config.yaml holds them."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        new = {name: float(value) for name, value in metrics.items() if self._latest.get(name, -1) != step}
        self._rows.writerows([step, name, repr(value)] for name, value in new.items())
        self._latest |= dict.fromkeys(new, step)

    def close(self) -> None:
        self._file.close()


class RunTensorBoardLogger(TensorBoardLogger):
    """Events in the run directory itself, with the run's hyperparameters for TensorBoard's HParams tab.

    A run writes only the start and the end of its session there. `SummaryWriter.add_hparams` and Lightning's own
    `log_hyperparams` also write a list of columns; TensorBoard uses the list of one run and drops all other columns.
    Without a list it shows the union of all hyperparameters and scalars.
    """

    def __init__(self, directory: Path, hyperparameters: Hyperparameters, steps_done: int = 0) -> None:
        # TensorBoard hides what was written for later steps before the run resumed.
        super().__init__(save_dir=directory, name="", version="", purge_step=steps_done + 1)
        self._session = hyperparameters
        self._add_summary(1)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The session summaries hold them."""

    def save(self) -> None:
        self.experiment.flush()  # Lightning's logger would leave a second, empty config (hparams.yaml)

    def finalize(self, status: str) -> None:
        self.experiment.flush()  # closing would start a second file for the final metrics

    def end_session(self) -> None:
        self._add_summary(2)
        self.experiment.close()

    def _add_summary(self, part: int) -> None:
        """Write the start (1) or the end (2) of the session; part 0 would be the list of columns."""
        summaries = hparams(self._session, {})  # type: ignore[no-untyped-call]
        self.experiment._get_file_writer().add_summary(summaries[part])


def build_loggers(settings: Mapping[str, Any]) -> list[MakeLogger]:
    """Return functions that make the loggers of a config. Raises ConfigurationError, naming the key.

    Each is made once in an empty directory, so that mistakes show; those of Lightning connect to nothing before they
    are used.
    """
    loggers = [_bind_logger(f"loggers.{name}", rule) for name, rule in settings["loggers"].items() if rule is not None]
    if loggers:
        with tempfile.TemporaryDirectory() as directory:
            for make in loggers:
                make(Path(directory))
    return loggers


def _bind_logger(key: str, rule: Mapping[str, Any]) -> MakeLogger:
    target = bind({key: rule}, key)

    def make(directory: Path) -> Logger:
        try:
            place = inspect.signature(target.func).parameters.get("save_dir")
            needs_place = place is not None and place.default is place.empty and "save_dir" not in rule
            logger = target(**{"save_dir": directory} if needs_place else {})
        except Exception as error:
            raise ConfigurationError(f"{key}: {error}") from error
        if not isinstance(logger, Logger):
            raise ConfigurationError(f"{key}: {type(logger).__name__} is no pytorch_lightning.loggers.Logger")
        return logger

    return make


def collect_hyperparameters(choices: Mapping[str, str], config: Mapping[str, Any]) -> Hyperparameters:
    """Return `{"normalizer": "tf_layers", "normalizer.momentum": 0.01, …}`: choices of groups, then all their keys.

    Targets are left out: a choice says more than its `_target_`, which several choices share.
    """
    values = {key: value for key, value in flatten(config).items() if not key.endswith("._target_")}
    return {**choices, **{key: _to_hyperparameter(value) for key, value in values.items()}}


def _to_hyperparameter(value: Any) -> bool | int | float | str:
    """Return a value as TensorBoard takes it: neither lists nor null, and numbers only if they are finite."""
    is_taken = math.isfinite(value) if isinstance(value, float) else isinstance(value, bool | int | str)
    return value if is_taken else str(value)
