"""One run: config → data, network, trainer → fit, final evaluation → record."""

import logging
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from torch import nn

from normlab.assembly import Parts, assemble
from normlab.config import ConfigurationError, experiment_directory, identity, run_directory
from normlab.data import Split
from normlab.environment import describe
from normlab.evaluation import in_passes, score
from normlab.models.layers import named_normalizers
from normlab.records import Record, RunDirectory
from normlab.training.classifier import Classifier, stretches
from normlab.training.loggers import CsvLogger, RunTensorBoardLogger, hyperparameters_of
from normlab.training.observers import Observer, log_score
from normlab.training.trainer import trainer_for

log = logging.getLogger(__name__)


class RunFailedError(Exception):
    """A run that raised while it trained; its record holds the traceback, `cause` the exception."""

    def __init__(self, run_id: str, cause: Exception) -> None:
        super().__init__(f"{run_id} failed: {type(cause).__name__}: {cause}")
        self.cause = cause


def run(settings: dict[str, Any], choices: Mapping[str, Any]) -> Record:
    """Make the run that its settings describe, unless it is finished already, and return its record.

    Args:
        settings: the config as `normlab.config.validated` returns it.
        choices: config group → choice, as Hydra knows them.

    Raises:
        ConfigurationError: on a mistake in config or data; nothing has then been written.
        RunFailedError: where the run raised; its record says `failed` and holds the traceback.
    """
    directory = RunDirectory(run_directory(settings, choices))
    finished = _finished_record(directory)
    if finished is not None:
        log.info("%s is finished already", finished.run_id)
        return finished
    parts = assemble(settings)
    record = _begin(directory, settings, choices, parts)
    with _log_file(directory):
        log.info("%s: %d updates on %s in %s", record.run_id, record.steps, parts.device, directory.path)
        try:
            _fit_and_evaluate(settings, parts, directory, record)
        except BaseException as error:
            record.status = "failed" if isinstance(error, Exception) else "interrupted"
            record.error = traceback.format_exc()
            directory.write(record)
            if isinstance(error, Exception):
                raise RunFailedError(record.run_id, error) from error
            raise
        log.info("%s: %s", record.run_id, ", ".join(f"{name} {value:.4f}" for name, value in record.metrics.items()))
    return record


def _finished_record(directory: RunDirectory) -> Record | None:
    try:
        record = directory.read()
    except ValueError as error:
        raise ConfigurationError(f"{error}\nMove the directory away to run it anew.") from error
    return record if record is not None and record.status == "finished" else None


def _begin(directory: RunDirectory, settings: dict[str, Any], choices: Mapping[str, Any], parts: Parts) -> Record:
    """Create the run directory with its config and a first record; an unfinished one of before is moved aside."""
    record = Record(
        run_id=directory.path.name,
        experiment=experiment_directory(settings, choices).name,
        seed=settings["seed"],
        choices={group: choice for group, choice in choices.items() if choice and not group.startswith("hydra/")},
        steps=settings["steps"],
        environment=describe(parts.device, settings["accelerator"]["precision"]),
        published=settings["published"],
    )
    try:
        if directory.path.exists():
            log.info("%s was not finished: its directory is now %s", record.run_id, directory.move_aside().name)
        directory.checkpoint.parent.mkdir(parents=True)
        OmegaConf.save(OmegaConf.create(settings), directory.config)
        directory.write(record)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to {directory.path}: {error.strerror}. Choose another place with output_root=DIR."
        ) from error
    return record


def _fit_and_evaluate(settings: Mapping[str, Any], parts: Parts, directory: RunDirectory, record: Record) -> None:
    """Train, measure the whole splits at the end, keep the checkpoint, and complete the record."""
    table = CsvLogger(directory.metrics)
    tensorboard = RunTensorBoardLogger(directory.path, hyperparameters_of(record.choices, identity(settings)))
    tensorboard.start_session()
    observer = Observer(parts.schedules, parts.splits, parts.preprocess, parts.test_batches)
    trainer = trainer_for(
        parts.device, directory.path, [observer, *parts.callbacks], [table, tensorboard], settings["trainer"]
    )
    precision = settings["accelerator"]["precision"]
    module = Classifier(parts.network, parts.objective, parts.optimizer, parts.batches, precision)
    if settings["accelerator"]["compile"]:
        parts.network.compile()  # the network alone: a compiled LightningModule cannot log

    start = time.perf_counter()
    trainer.fit(module, stretches(module.updates, settings["steps"], observer.is_due))
    record.seconds = time.perf_counter() - start
    record.steps_per_second = settings["steps"] / record.seconds

    module.to(parts.device)  # Lightning leaves a network on the CPU after fitting
    record.metrics = _final_metrics(settings["evaluate"], parts, trainer)
    torch.save(
        {"network": parts.network.state_dict(), "optimizer": module.optimizer.state_dict()}, directory.checkpoint
    )
    _log_first_running_means(parts.network)
    tensorboard.end_session()
    table.close()
    record.status = "finished"
    directory.write(record)


def _final_metrics(evaluate: Mapping[str, Any], parts: Parts, trainer: pl.Trainer) -> dict[str, float]:
    """Score whole splits, and the first test images one at a time, after the last update."""
    metrics: dict[str, float] = {}
    for name in evaluate["splits"]:
        found = score(parts.network, parts.objective, in_passes(getattr(parts.splits, name), parts.preprocess))
        metrics |= {f"{name}/loss": found.loss, f"{name}/accuracy": found.accuracy}
        observed = name in parts.schedules and parts.schedules[name].is_due(trainer.global_step)
        if not observed:
            log_score(trainer, name, found, trainer.global_step)
    count = evaluate["one_by_one"]
    if count:
        # Fails where population statistics are wrong: alone, an image has no batch to hide behind.
        images, labels = parts.splits.test
        first = Split(images[:count], labels[:count])
        found = score(parts.network, parts.objective, in_passes(first, parts.preprocess, size=1))
        metrics["test/one_by_one_accuracy"] = found.accuracy
        for logger in trainer.loggers:
            logger.log_metrics({"test/one_by_one_accuracy": found.accuracy}, trainer.global_step)
    return metrics


def _log_first_running_means(network: nn.Module) -> None:
    for block, normalizer in named_normalizers(network):
        running_mean = getattr(normalizer, "running_mean", None)
        if running_mean is not None:
            values = " ".join(f"{value:.4f}" for value in running_mean[:10].tolist())
            log.info("first running means of %s: %s", block, values)
            return


@contextmanager
def _log_file(directory: RunDirectory) -> Iterator[None]:
    """Copy what is logged meanwhile, warnings included, to the run's own log."""
    handler = logging.FileHandler(directory.log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
