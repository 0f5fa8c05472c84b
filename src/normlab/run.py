"""One run: config → data, network, trainer → fit, final evaluation → record."""

import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from omegaconf import OmegaConf
from torch import nn

from normlab.assembly import Parts, assemble
from normlab.config import ConfigurationError, experiment_directory, identity, run_directory
from normlab.data import Split
from normlab.environment import describe
from normlab.evaluation import in_passes, score
from normlab.models.layers import named_normalizers
from normlab.ownership import OwnedElsewhereError, ownership
from normlab.records import Record, RunDirectory
from normlab.stopping import StopRequest
from normlab.training.checkpoints import Checkpoints, latest, restore
from normlab.training.classifier import Classifier, stretches
from normlab.training.loggers import CsvLogger, RunTensorBoardLogger, hyperparameters_of
from normlab.training.observers import Observer, log_score
from normlab.training.trainer import Stopping, trainer_for

log = logging.getLogger(__name__)


class RunFailedError(Exception):
    """A run that raised while it trained; its record holds the traceback, `cause` the exception."""

    def __init__(self, run_id: str, cause: Exception) -> None:
        super().__init__(f"{run_id} failed: {type(cause).__name__}: {cause}")
        self.cause = cause


class RunInterrupted(BaseException):
    """A signal asked the run to stop; it can be resumed. No Exception, so that a sweep ends with it."""

    def __init__(self, exit_status: int) -> None:
        super().__init__(exit_status)
        self.exit_status = exit_status


def run(settings: dict[str, Any], choices: Mapping[str, Any], progress: bool = False) -> Record:
    """Make the run that its settings describe, or what is left of it, and return its record.

    A run that is finished, or that another process is making, is left alone. One that was cut short goes on from
    its latest sound checkpoint, to the same bytes as if it had never stopped.

    Args:
        settings: the config as `normlab.config.validated` returns it.
        choices: config group → choice, as Hydra knows them.
        progress: show a bar.

    Raises:
        ConfigurationError: on a mistake in config or data; nothing has then been written.
        RunFailedError: where the run raised; its record says `failed` and holds the traceback.
        RunInterrupted: after Ctrl-C or SIGTERM, once a checkpoint is written.
    """
    directory = RunDirectory(run_directory(settings, choices))
    if not settings["force"] and (record := result_of(directory)) is not None:
        log.info("%s is %s already", record.run_id, record.status)
        return record
    parts = assemble(settings)
    try:
        if settings["force"] and directory.path.exists():
            with ownership(directory.path):
                log.info("%s is made anew: its directory is now %s", directory.path.name, directory.move_aside().name)
        with ownership(directory.path), StopRequest().listening() as request:
            return result_of(directory) or _make(settings, choices, parts, directory, request, progress)
    except OwnedElsewhereError as elsewhere:
        log.info("%s %s", directory.path.name, elsewhere)
        return directory.read() or _new_record(directory, settings, choices, parts)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to {directory.path}: {error.strerror}. Choose another place with output_root=DIR."
        ) from error


def result_of(directory: RunDirectory) -> Record | None:
    """Return the record of a run with nothing left to do. Raises ConfigurationError where it is not that run's."""
    try:
        record = directory.read()
    except ValueError as error:
        raise ConfigurationError(f"{error}\nMove the directory away to run it anew.") from error
    return record if record is not None and record.is_result else None


def _new_record(
    directory: RunDirectory, settings: Mapping[str, Any], choices: Mapping[str, Any], parts: Parts
) -> Record:
    return Record(
        run_id=directory.path.name,
        experiment=experiment_directory(settings, choices).name,
        seed=settings["seed"],
        choices={group: choice for group, choice in choices.items() if choice and not group.startswith("hydra/")},
        steps=settings["steps"],
        environment=describe(parts.device, settings["accelerator"]["precision"]),
        published=settings["published"],
    )


def _make(
    settings: dict[str, Any],
    choices: Mapping[str, Any],
    parts: Parts,
    directory: RunDirectory,
    request: StopRequest,
    progress: bool,
) -> Record:
    """Make the run in a directory that this process owns; whatever ends it stands in its record."""
    record = _new_record(directory, settings, choices, parts)
    directory.checkpoint.parent.mkdir(exist_ok=True)
    OmegaConf.save(OmegaConf.create(settings), directory.config)
    directory.write(record)
    with _log_file(directory):
        log.info("%s: %d updates on %s in %s", record.run_id, record.steps, parts.device, directory.path)
        try:
            _fit_and_evaluate(settings, parts, directory, record, request, progress)
            directory.write(record)
        except BaseException as error:
            record.status = "failed" if isinstance(error, Exception) else "interrupted"
            record.error = traceback.format_exc()
            directory.write(record)
            if isinstance(error, Exception):
                raise RunFailedError(record.run_id, error) from error
            raise
        log.info("%s: %s", record.run_id, _told(record))
    if request.signal is not None:
        raise RunInterrupted(request.exit_status)
    return record


def _told(record: Record) -> str:
    if record.status == "interrupted":
        return "interrupted; asked for again, it goes on from its checkpoint"
    if record.status == "diverged":
        return f"diverged, the loss of update {record.diverged_at} is not finite"
    return ", ".join(f"{name} {value:.4f}" for name, value in record.metrics.items())


def _fit_and_evaluate(
    settings: Mapping[str, Any],
    parts: Parts,
    directory: RunDirectory,
    record: Record,
    request: StopRequest,
    progress: bool,
) -> None:
    """Train, from a checkpoint where there is one, measure the whole splits at the end, and complete the record."""
    precision = settings["accelerator"]["precision"]
    module = Classifier(parts.network, parts.objective, parts.optimizer, parts.batches, precision)
    found = latest(directory)
    if found is not None:
        restore(module, found)
        log.info("%s goes on after update %d", record.run_id, module.updates)
    if settings["accelerator"]["compile"]:
        parts.network.compile()  # the network alone: a compiled LightningModule cannot log
    table = CsvLogger(directory.metrics, found["metrics_size"] if found else 0)
    hyperparameters = hyperparameters_of(record.choices, identity(settings))
    tensorboard = RunTensorBoardLogger(directory.path, hyperparameters, module.updates)
    tensorboard.start_session()
    observer = Observer(parts.schedules, parts.splits, parts.preprocess, parts.test_batches)
    checkpoints = Checkpoints(directory, found["seconds"] if found else 0.0)
    callbacks = [observer, *parts.callbacks, Stopping(request), checkpoints]
    trainer = trainer_for(parts.device, directory.path, callbacks, [table, tensorboard], progress, settings["trainer"])
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
