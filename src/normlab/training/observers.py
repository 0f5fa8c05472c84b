"""What is measured while a network trains, and when: callbacks that count updates made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from normlab.data.splits import Splits
from normlab.data.stream import Batch, BatchStream
from normlab.evaluation import Score, in_passes, score
from normlab.models.layers import named_normalizers
from normlab.training.classifier import Classifier


@dataclass(frozen=True)
class Schedule:
    """Due after update `first` and every `every` updates from there, unless another schedule is due too."""

    first: int
    every: int
    unless: "Schedule | None" = None

    def is_due(self, updates: int) -> bool:
        due = updates >= self.first and (updates - self.first) % self.every == 0
        return due and not (self.unless is not None and self.unless.is_due(updates))

    def count_before(self, updates: int) -> int:
        """Return how many times it fell due before this update, whether or not another took its place."""
        return max(0, -(-(updates - self.first) // self.every))


def schedules(rules: Mapping[str, Mapping[str, Any]]) -> dict[str, Schedule]:
    """Return the schedule of each observation in the config key `observe`."""
    plain = {name: Schedule(rule["first"], rule["every"]) for name, rule in rules.items()}
    return {
        name: Schedule(rule["first"], rule["every"], plain[rule["unless"]]) if rule["unless"] else plain[name]
        for name, rule in rules.items()
    }


class Observer(pl.Callback):
    """Scores splits and batches in inference mode, right after the update at which each is due.

    `train_batch` is the batch of that very update, scored anew with the updated weights; `test_batch` the next
    batch of a stream over the test split; `train`, `val` and `test` are whole splits.
    """

    def __init__(
        self,
        schedules: Mapping[str, Schedule],
        splits: Splits,
        preprocess: Callable[[Tensor], Tensor],
        test_stream: BatchStream,
    ) -> None:
        self.schedules = schedules
        self.splits = splits
        self.preprocess = preprocess
        self.test_stream = test_stream

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        updates = trainer.global_step
        for name, schedule in self.schedules.items():
            if schedule.is_due(updates):
                assert isinstance(pl_module, Classifier)
                log_score(trainer, name, self._score(name, pl_module, batch, updates))

    def _score(self, name: str, module: Classifier, batch: Batch, updates: int) -> Score:
        if name == "train_batch":
            return score(module.network, module.objective, [batch])
        if name == "test_batch":
            drawn = self.schedules[name].count_before(updates)
            return score(module.network, module.objective, [self.test_stream.batch(drawn)])
        return score(module.network, module.objective, in_passes(getattr(self.splits, name), self.preprocess))


class NormalizerHistograms(pl.Callback):
    """Running averages, scale and shift of every normalizer as TensorBoard histograms, on the schedule of `val`."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self.schedule.is_due(trainer.global_step):
            return
        assert isinstance(pl_module, Classifier)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                for block, normalizer in named_normalizers(pl_module.network):
                    for name, values in normalizer.state_dict().items():
                        if values.is_floating_point():
                            # One group of tags, and one that TensorBoard sorts behind the curves.
                            tag = f"variables/{block}/{name}"
                            logger.experiment.add_histogram(tag, values, trainer.global_step)


def observers(
    schedules: Mapping[str, Schedule],
    splits: Splits,
    preprocess: Callable[[Tensor], Tensor],
    test_stream: BatchStream,
) -> list[pl.Callback]:
    """Return the callbacks that make all observations on these schedules."""
    scores = Observer(schedules, splits, preprocess, test_stream)
    return [scores, NormalizerHistograms(schedules["val"])] if "val" in schedules else [scores]


def log_score(trainer: pl.Trainer, name: str, found: Score) -> None:
    """Send a score to every logger as `<name>/loss` and `<name>/accuracy`, at the number of updates made."""
    for logger in trainer.loggers:
        logger.log_metrics({f"{name}/loss": found.loss, f"{name}/accuracy": found.accuracy}, trainer.global_step)
