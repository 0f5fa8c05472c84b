"""Training one run in its directory: from the latest checkpoint to the last update and the final evaluation."""

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import pytorch_lightning as pl
from torch import nn

from normlab.assembly import Parts
from normlab.config import identity
from normlab.data import Split
from normlab.evaluation import in_passes, score
from normlab.models.layers import named_normalizers
from normlab.records import Record, RunDirectory
from normlab.stopping import StopRequest
from normlab.training.checkpoints import Checkpoints, latest, restore
from normlab.training.classifier import Classifier, stretches
from normlab.training.data_parallel import DataParallel
from normlab.training.follower import followed
from normlab.training.loggers import CsvLogger, RunTensorBoardLogger, hyperparameters_of
from normlab.training.observers import Observer, log_score
from normlab.training.rendezvous import Rendezvous
from normlab.training.trainer import Stopping, trainer_for

log = logging.getLogger(__name__)


def fit_and_evaluate(
    settings: Mapping[str, Any],
    parts: Parts,
    directory: RunDirectory,
    record: Record,
    others: Rendezvous | None,
    request: StopRequest,
    progress: bool,
) -> None:
    """Train, from a checkpoint where there is one, measure the whole splits at the end, and complete the record.

    Args:
        settings: the config as `normlab.config.validated` returns it.
        parts: what the run is made of.
        directory: of the run, which this process owns.
        record: to complete.
        others: the way to the processes that train along; None for one process.
        request: what stops the training.
        progress: show a bar.
    """
    _warn_of_parts(settings, parts.network, record)
    precision = settings["accelerator"]["precision"]
    parallel = None if others is None else DataParallel(others.rank, others.size, settings["seed"])
    module = Classifier(parts.network, parts.objective, parts.optimizer, parts.batches, precision, parallel)
    found = latest(directory)
    if found is not None:
        restore(module, found)
        log.info("%s goes on after update %d", record.run_id, module.updates)
    if settings["accelerator"]["compile"]:
        parts.network.compile()  # the network alone: a compiled LightningModule cannot log
    with nullcontext() if others is None else followed(others, module, parts.device):
        table = CsvLogger(directory.metrics, found["metrics_size"] if found else 0)
        hyperparameters = hyperparameters_of(record.choices, identity(settings))
        tensorboard = RunTensorBoardLogger(directory.path, hyperparameters, module.updates)
        tensorboard.start_session()
        observer = Observer(parts.schedules, parts.splits, parts.preprocess, parts.test_batches)
        checkpoints = Checkpoints(directory, found["seconds"] if found else 0.0)
        callbacks = [observer, *parts.callbacks, Stopping(request), checkpoints]
        trainer = trainer_for(
            parts.device, directory.path, callbacks, [table, tensorboard], progress, settings["trainer"]
        )
        trainer.fit(module, stretches(module.updates, settings["steps"], observer.is_due))
    module.to(parts.device)  # Lightning leaves a network on the CPU after fitting

    checkpoints.save(module)
    record.seconds = checkpoints.seconds
    record.steps_per_second = module.updates / record.seconds
    if module.diverged_at is not None:
        record.status, record.diverged_at = "diverged", module.diverged_at
    elif module.updates < settings["steps"]:
        record.status = "interrupted"
    else:
        record.metrics = _final_metrics(settings["evaluate"], parts, trainer, module.updates)
        record.status = "finished"
        _log_first_running_means(parts.network)
    tensorboard.end_session()
    table.close()


def _final_metrics(evaluate: Mapping[str, Any], parts: Parts, trainer: pl.Trainer, updates: int) -> dict[str, float]:
    """Score whole splits, and the first test images one at a time, after the last update."""
    metrics: dict[str, float] = {}
    for name in evaluate["splits"]:
        found = score(parts.network, parts.objective, in_passes(getattr(parts.splits, name), parts.preprocess))
        metrics |= {f"{name}/loss": found.loss, f"{name}/accuracy": found.accuracy}
        observed = name in parts.schedules and parts.schedules[name].is_due(updates)
        if not observed:
            log_score(trainer, name, found, updates)
    count = evaluate["one_by_one"]
    if count:
        # Fails where population statistics are wrong: alone, an image has no batch to hide behind.
        images, labels = parts.splits.test
        first = Split(images[:count], labels[:count])
        found = score(parts.network, parts.objective, in_passes(first, parts.preprocess, size=1))
        metrics["test/one_by_one_accuracy"] = found.accuracy
        for logger in trainer.loggers:
            logger.log_metrics({"test/one_by_one_accuracy": found.accuracy}, updates)
    return metrics


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
