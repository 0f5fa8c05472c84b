"""Where metrics go: `metrics.csv` for machines, TensorBoard for eyes. Both are Lightning loggers."""

import csv
import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.tensorboard.summary import hparams

Hyperparameters = dict[str, bool | int | float | str]


class CsvLogger(Logger):
    """Writes `step,name,value`, one row per value; step counts updates made, values have full precision.

    Args:
        path: of the file.
        size: bytes of the file to go on from, where a run resumes; rows behind them are dropped.
    """

    def __init__(self, path: Path, size: int = 0) -> None:
        super().__init__()
        if size:
            os.truncate(path, size)
        # Line by line, so that a run can be followed, and what was observed outlives a crash.
        self._file = path.open("a" if size else "w", encoding="utf-8", newline="", buffering=1)
        self._rows = csv.writer(self._file, lineterminator="\n")
        if not size:
            self._rows.writerow(["step", "name", "value"])

    @property
    def name(self) -> str:
        return "metrics"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The run's config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._rows.writerows([step, name, repr(float(value))] for name, value in metrics.items())

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class RunTensorBoardLogger(TensorBoardLogger):
    """Events in the run directory itself, with the run's hyperparameters for TensorBoard's HParams tab.

    A run writes only the start and the end of its session there. `SummaryWriter.add_hparams` and Lightning's own
    `log_hyperparams` also write a list of columns; TensorBoard believes the list of one run and drops the
    columns of all that have others. Without a list it shows the union of all hyperparameters and scalars.
    """

    def __init__(self, directory: Path, hyperparameters: Hyperparameters, updates: int = 0) -> None:
        # What was written before behind the update that a run goes on from does not show.
        super().__init__(save_dir=directory, name="", version="", purge_step=updates + 1)
        self._session = hyperparameters

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """What the session summaries hold is given at the start."""

    @rank_zero_only
    def save(self) -> None:
        self.experiment.flush()  # Lightning's logger would leave a second, empty config here (hparams.yaml)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.experiment.flush()  # final metrics follow the fit; closing here would start a second file for them

    @rank_zero_only
    def start_session(self) -> None:
        self._add_summary(1)

    @rank_zero_only
    def end_session(self) -> None:
        self._add_summary(2)
        self.experiment.close()

    def _add_summary(self, part: int) -> None:
        """Write the start (1) or the end (2) of the session; part 0 would be the list of columns."""
        summaries = hparams(self._session, {})  # type: ignore[no-untyped-call]
        self.experiment._get_file_writer().add_summary(summaries[part])


def hyperparameters_of(choices: Mapping[str, str], config: Mapping[str, Any]) -> Hyperparameters:
    """Return `{"normalizer": "tf_layers", "normalizer.momentum": 0.01, …}`: choices of groups, then all their keys.

    A choice tells more than the `_target_` behind it, which several choices share and which is left out.
    """
    flat = {key: value for key, value in _flat(config).items() if not key.endswith("._target_")}
    return {**choices, **flat}


def _flat(config: Mapping[str, Any], prefix: str = "") -> Hyperparameters:
    flat: Hyperparameters = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:  # TensorBoard takes neither lists nor null
            flat[f"{prefix}{key}"] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat
