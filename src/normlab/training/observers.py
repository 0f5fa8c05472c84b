"""What is measured while a network trains, right after the updates at which it is due."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from torch import Tensor, nn

from normlab.data.batches import Batch, BatchStream
from normlab.data.splits import Splits
from normlab.measurements.normalizer_statistics import SAMPLE, normalizer_statistics
from normlab.measurements.schedule import Schedule
from normlab.measurements.scores import Score, in_passes, score
from normlab.models.layers import named_normalizers
from normlab.training.loggers import CsvLogger
from normlab.training.module import Classifier


class Observer(pl.Callback):
    """Scores splits and batches in inference mode, right after the update at which each is due.

    `train_batch` is the batch of that very update, scored anew with the updated weights; `test_batch` the next
    batch of a stream over the test split; `train`, `val` and `test` are whole splits. `normalizers` tells what
    reaches each of them, of a sample of the training split in training mode.
    """

    def __init__(
        self,
        schedules: Mapping[str, Schedule],
        splits: Splits,
        preprocess: Callable[[Tensor], Tensor],
        test_batches: BatchStream,
    ) -> None:
        self.schedules = schedules
        self.splits = splits
        self.preprocess = preprocess
        self.test_batches = test_batches

    def is_due(self, updates: int) -> bool:
        """Return whether anything is observed after this update."""
        return any(schedule.is_due(updates) for schedule in self.schedules.values())

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Observe what is due after the last update of the stretch, which ends where anything is."""
        assert isinstance(pl_module, Classifier)
        self.observe(pl_module, trainer.loggers)

    def observe(self, module: Classifier, loggers: Iterable[Logger]) -> None:
        """Measure what is due after the update that a module has just made, and send it to the loggers."""
        for name, schedule in self.schedules.items():
            if not schedule.is_due(module.updates):
                continue
            if name == "normalizers":
                sample = self.preprocess(self.splits.train.images[:SAMPLE])
                log_normalizers(loggers, normalizer_statistics(module.network, sample), module.updates)
            else:
                found = score(module.network, module.objective, self._batches(name, module))
                log_score(loggers, name, found, module.updates)
                if name == "val":
                    log_variables(loggers, module.network, module.updates)

    def _batches(self, name: str, module: Classifier) -> Iterable[Batch]:
        if name == "train_batch":
            return [module.batches.batch(module.updates - 1)]
        if name == "test_batch":
            return [self.test_batches.batch(self.schedules[name].count_before(module.updates))]
        return in_passes(getattr(self.splits, name), self.preprocess)


def log_score(loggers: Iterable[Logger], name: str, found: Score, updates: int) -> None:
    """Send a score to every logger as `<name>/loss` and `<name>/accuracy`, at the number of updates made."""
    for logger in loggers:
        logger.log_metrics({f"{name}/loss": found.loss, f"{name}/accuracy": found.accuracy}, updates)


def log_normalizers(loggers: Iterable[Logger], found: Mapping[str, float], updates: int) -> None:
    """Send what describes normalizers to `metrics.csv` alone: in TensorBoard histograms show more of it."""
    for logger in loggers:
        if isinstance(logger, CsvLogger):
            logger.log_metrics(found, updates)


def log_variables(loggers: Iterable[Logger], network: nn.Module, updates: int) -> None:
    """Send running averages, scale and shift of every normalizer to TensorBoard as histograms."""
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            for block, normalizer in named_normalizers(network):
                for name, values in normalizer.state_dict().items():
                    if values.is_floating_point():
                        # One group of tags, and one that TensorBoard sorts behind the curves.
                        logger.experiment.add_histogram(f"variables/{block}/{name}", values, updates)
