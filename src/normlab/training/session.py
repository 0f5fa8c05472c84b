"""One run while it trains: its module, what observes it, where its metrics and checkpoints go; begun and concluded."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytorch_lightning.loggers import Logger
from torch import nn

from normlab.config.checks import identity
from normlab.data import Split
from normlab.measurements.scores import in_passes, score
from normlab.models.layers import named_normalizers
from normlab.runs.record import Record, RunDirectory
from normlab.training.build import Parts
from normlab.training.checkpoints import Checkpoints, latest, restore
from normlab.training.data_parallel.gradients import DataParallel
from normlab.training.loggers import CsvLogger, RunTensorBoardLogger, hyperparameters_of
from normlab.training.module import Classifier
from normlab.training.observers import Observer, log_score

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Session:
    """What a run consists of from its first update in this process to its last."""

    settings: Mapping[str, Any]
    parts: Parts
    record: Record
    module: Classifier
    observer: Observer
    checkpoints: Checkpoints
    table: CsvLogger
    tensorboard: RunTensorBoardLogger

    @property
    def loggers(self) -> list[Logger]:
        return [self.table, self.tensorboard]

    def conclude(self) -> None:
        """Keep the last checkpoint, measure the whole splits where the run has come to its end, complete the record."""
        module, record = self.module, self.record
        self.checkpoints.save(module)
        record.seconds = self.checkpoints.seconds
        record.steps_per_second = module.updates / record.seconds
        if module.diverged_at is not None:
            record.status, record.diverged_at = "diverged", module.diverged_at
        elif module.updates < self.settings["steps"]:
            record.status = "interrupted"
        else:
            record.metrics = self._final_metrics()
            record.status = "finished"
            _log_first_running_means(self.parts.network)
        self.close()

    def close(self) -> None:
        """Write out what the loggers hold."""
        self.tensorboard.end_session()
        self.table.close()

    def _final_metrics(self) -> dict[str, float]:
        """Score whole splits, and the first test images one at a time, after the last update."""
        parts, updates = self.parts, self.module.updates
        metrics: dict[str, float] = {}
        for name in self.settings["evaluate"]["splits"]:
            found = score(parts.network, parts.objective, in_passes(getattr(parts.splits, name), parts.preprocess))
            metrics |= {f"{name}/loss": found.loss, f"{name}/accuracy": found.accuracy}
            observed = name in parts.schedules and parts.schedules[name].is_due(updates)
            if not observed:
                log_score(self.loggers, name, found, updates)
        count = self.settings["evaluate"]["one_by_one"]
        if count:
            # Fails where population statistics are wrong: alone, an image has no batch to hide behind.
            images, labels = parts.splits.test
            first = Split(images[:count], labels[:count])
            found = score(parts.network, parts.objective, in_passes(first, parts.preprocess, size=1))
            metrics["test/one_by_one_accuracy"] = found.accuracy
            for logger in self.loggers:
                logger.log_metrics({"test/one_by_one_accuracy": found.accuracy}, updates)
        return metrics


def begun(
    settings: Mapping[str, Any],
    parts: Parts,
    directory: RunDirectory,
    record: Record,
    parallel: DataParallel | None = None,
    networks: int = 1,
) -> Session:
    """Put a run in the state of its latest checkpoint, where there is one, and open what its metrics go to.

    Args:
        settings: the config as `normlab.config.checks.validated` returns it.
        parts: what the run is made of.
        directory: of the run, which this process owns.
        record: to complete.
        parallel: what makes this process one of several of the run.
        networks: trained at once in this process.
    """
    _warn_of_parts(settings, parts.network, record)
    accelerator = settings["accelerator"]
    parts.network.to(parts.device)
    module = Classifier(
        parts.network,
        parts.objective,
        parts.optimizer,
        parts.batches,
        accelerator["precision"],
        parallel,
        accelerator["cuda_graph"],
    )
    found = latest(directory)
    if found is not None:
        restore(module, found)
        log.info("%s goes on after update %d", record.run_id, module.updates)
    table = CsvLogger(directory.metrics, found["metrics_size"] if found else 0)
    hyperparameters = hyperparameters_of(record.choices, identity(settings))
    tensorboard = RunTensorBoardLogger(directory.path, hyperparameters, module.updates)
    tensorboard.start_session()
    return Session(
        settings=settings,
        parts=parts,
        record=record,
        module=module,
        observer=Observer(parts.schedules, parts.splits, parts.preprocess, parts.test_batches),
        checkpoints=Checkpoints(directory, found["seconds"] if found else 0.0, networks),
        table=table,
        tensorboard=tensorboard,
    )


def _warn_of_parts(settings: Mapping[str, Any], network: nn.Module, record: Record) -> None:
    """Name the first normalizer that is to see whole batches and cannot."""
    normalizers = dict(named_normalizers(network))
    for block, examples in record.statistics_batch.items():
        if settings["sync_statistics"] and examples < settings["batch_size"]:
            log.warning(
                "%s takes its statistics from its process's part, %d examples of a batch: to see all of them it needs"
                " an attribute `synchronized`, and to sum over processes where that is set",
                type(normalizers.get(block) or network.get_submodule(block)).__name__,
                examples,
            )
            return


def _log_first_running_means(network: nn.Module) -> None:
    for block, normalizer in named_normalizers(network):
        running_mean = getattr(normalizer, "running_mean", None)
        if running_mean is not None:
            values = " ".join(f"{value:.4f}" for value in running_mean[:10].tolist())
            log.info("first running means of %s: %s", block, values)
            return
