"""Measure a network while it trains, right after the steps at which something is due."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from torch import Tensor, nn

from normlab.data.batches import Batch, BatchStream
from normlab.data.preprocessing import Preprocess
from normlab.data.splits import Splits
from normlab.measurements.normalizer_statistics import SAMPLE, measure_normalizers
from normlab.measurements.schedule import Schedule, is_any_due
from normlab.measurements.scores import iterate_split, score
from normlab.models.layers import named_normalizers
from normlab.training.loggers import CsvLogger
from normlab.training.module import TrainingModule


class Observer(pl.Callback):
    """Scores splits and batches in inference mode, right after the step at which each is due.

    `train_batch` is the batch of that very step, scored again with the updated weights; `test_batch` the next batch of
    a stream over the test split; `train`, `val` and `test` are whole splits. `normalizers` describes the inputs of
    each normalizer for a sample of the training split in training mode.
    """

    def __init__(
        self, schedules: Mapping[str, Schedule], splits: Splits, preprocess: Preprocess, test_batches: BatchStream
    ) -> None:
        self.schedules = schedules
        self.splits = splits
        self.preprocess = preprocess
        self.test_batches = test_batches

    def is_due(self, step: int) -> bool:
        """Return whether anything is observed after this step."""
        return is_any_due(self.schedules, step)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Observe what is due after the last step of a chunk; a chunk ends wherever something is."""
        assert isinstance(pl_module, TrainingModule)
        self.observe(pl_module, trainer.loggers)

    def observe(self, module: TrainingModule, loggers: Iterable[Logger]) -> None:
        """Measure what is due after the latest step of a module, and send it to the loggers."""
        step = module.steps_done
        for name, schedule in self.schedules.items():
            if not schedule.is_due(step):
                continue
            if name == "normalizers":
                sample = self.preprocess(self.splits.train.inputs[:SAMPLE])
                log_normalizers(loggers, measure_normalizers(module.network, sample), step)
            else:
                batches = self._batches(name, module)
                log_score(loggers, name, score(module.network, module.objective, self.splits.task, batches), step)
                if name == "val":
                    log_variables(loggers, module.network, step)

    def _batches(self, name: str, module: TrainingModule) -> Iterable[Batch]:
        if name == "train_batch":
            return [module.batches.batch(module.steps_done - 1)]
        if name == "test_batch":
            return [self.test_batches.batch(self.schedules[name].count_before(module.steps_done))]
        return iterate_split(getattr(self.splits, name), self.preprocess)


def log_score(loggers: Iterable[Logger], name: str, found: Mapping[str, float], step: int) -> None:
    """Send a score to every logger, as `<name>/loss`, `<name>/accuracy` and so on."""
    for logger in loggers:
        logger.log_metrics({f"{name}/{measure}": value for measure, value in found.items()}, step)


def log_normalizers(loggers: Iterable[Logger], values: Mapping[str, float], step: int) -> None:
    """Send descriptions of normalizers to `metrics.csv` alone: TensorBoard shows more of them as histograms."""
    for logger in loggers:
        if isinstance(logger, CsvLogger):
            logger.log_metrics(values, step)


def log_variables(loggers: Iterable[Logger], network: nn.Module, step: int) -> None:
    """Send running averages, scale and shift of every normalizer to TensorBoard as histograms."""
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            for block, normalizer in named_normalizers(network):
                for name, values in normalizer.state_dict().items():
                    if isinstance(values, Tensor) and values.is_floating_point():
                        # One group of tags, which TensorBoard sorts behind the curves.
                        logger.experiment.add_histogram(f"variables/{block}/{name}", values, step)
