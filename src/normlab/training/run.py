"""One run: config → data, network, trainer → fit, final evaluation → record."""

import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from pytorch_lightning.utilities import rank_zero_only

from normlab.config.checks import ConfigurationError, experiment_directory, run_directory
from normlab.normalizers import statistics_batch
from normlab.processes.stopping import StopRequest
from normlab.runs.ownership import OwnedElsewhereError, ownership
from normlab.runs.record import Record, RunDirectory
from normlab.training.build import Parts, assemble
from normlab.training.data_parallel.followers import follow, followers
from normlab.training.data_parallel.rendezvous import Rendezvous, joined
from normlab.training.environment import describe
from normlab.training.fitting import fit_and_evaluate

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
        settings: the config as `normlab.config.checks.validated` returns it.
        choices: config group → choice, as Hydra knows them.
        progress: show a bar.

    Raises:
        ConfigurationError: on a mistake in config or data; nothing has then been written.
        RunFailedError: where the run raised; its record says `failed` and holds the traceback.
        RunInterrupted: after Ctrl-C or SIGTERM, once a checkpoint is written.
    """
    directory = RunDirectory(run_directory(settings, choices))
    rendezvous = joined(settings["accelerator"]["processes"], directory.path.name)
    if rendezvous is None:
        return _lead(settings, choices, directory, None, progress)
    with rendezvous.lasting():
        if rendezvous.rank == 0:
            return _lead(settings, choices, directory, rendezvous, progress)
        return _follow(settings, choices, directory, rendezvous)


def _lead(
    settings: dict[str, Any],
    choices: Mapping[str, Any],
    directory: RunDirectory,
    rendezvous: Rendezvous | None,
    progress: bool,
) -> Record:
    """Make the run as the one process, or the first of those, that owns its directory and writes."""
    if not settings["force"] and (record := result_of(directory)) is not None:
        log.info("%s is %s already", record.run_id, record.status)
        return record
    parts = assemble(settings)
    try:
        with owned(directory, settings["force"]), StopRequest().listening() as request:
            done = result_of(directory)
            return done or _make(settings, choices, parts, directory, rendezvous, request, progress)
    except OwnedElsewhereError as elsewhere:
        log.info("%s %s", directory.path.name, elsewhere)
        return directory.read() or new_record(directory, settings, choices, parts)


@contextmanager
def owned(directory: RunDirectory, force: bool) -> Iterator[None]:
    """Own a run's directory for a while; where a run is forced, what was there before is moved aside.

    Raises OwnedElsewhereError, and ConfigurationError where the directory cannot be written.
    """
    try:
        if force and directory.path.exists():
            with ownership(directory.path):
                log.info("%s is made anew: its directory is now %s", directory.path.name, directory.move_aside().name)
        with ownership(directory.path):
            yield
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to {directory.path}: {error.strerror}. Choose another place with output_root=DIR."
        ) from error


def result_of(directory: RunDirectory) -> Record | None:
    """Return the record of a run with nothing left to do. Raises ConfigurationError where it is not that run's."""
    record = _record_in(directory)
    return record if record is not None and record.is_result else None


def _record_in(directory: RunDirectory) -> Record | None:
    try:
        return directory.read()
    except ValueError as error:
        raise ConfigurationError(f"{error}\nMove the directory away to run it anew.") from error


def _follow(
    settings: dict[str, Any], choices: Mapping[str, Any], directory: RunDirectory, rendezvous: Rendezvous
) -> Record:
    """Train along with the process that makes the run, where there is anything to train; return what it recorded."""
    with StopRequest().listening() as request:
        try:
            if rendezvous.hear("train"):
                log.info("%s: process %d of %d", directory.path.name, rendezvous.rank, rendezvous.size)
                follow(settings, rendezvous, request)
                rendezvous.hear("ended")
        except Exception as error:
            raise RunFailedError(directory.path.name, error) from error
    if request.signal is not None:
        raise RunInterrupted(request.exit_status)
    return _record_in(directory) or new_record(directory, settings, choices, assemble(settings))


def new_record(
    directory: RunDirectory, settings: Mapping[str, Any], choices: Mapping[str, Any], parts: Parts
) -> Record:
    """Return the record of a run that has yet to start."""
    return Record(
        run_id=directory.path.name,
        experiment=experiment_directory(settings, choices).name,
        seed=settings["seed"],
        choices={group: choice for group, choice in choices.items() if choice and not group.startswith("hydra/")},
        steps=settings["steps"],
        statistics_batch=statistics_batch(parts.network, settings["batch_size"], settings["accelerator"]["processes"]),
        environment=describe(parts.device, settings["accelerator"]["precision"], settings["accelerator"]["processes"]),
        published=settings["published"],
    )


def _make(
    settings: dict[str, Any],
    choices: Mapping[str, Any],
    parts: Parts,
    directory: RunDirectory,
    rendezvous: Rendezvous | None,
    request: StopRequest,
    progress: bool,
) -> Record:
    """Make the run in a directory that this process owns; whatever ends it stands in its record."""
    rank_zero_only.rank = 0  # type: ignore[attr-defined]  # Lightning takes it from Slurm's variables, among others
    record = new_record(directory, settings, choices, parts)
    prepare(directory, settings, parts, record)
    with log_file(directory):
        log.info("%s: %d updates on %s in %s", record.run_id, record.steps, parts.device, directory.path)
        try:
            with followers(settings, rendezvous) as others:
                fit_and_evaluate(settings, parts, directory, record, others, request, progress)
            directory.write(record)
        except BaseException as error:
            note_error(directory, record, error)
            if isinstance(error, Exception):
                raise RunFailedError(record.run_id, error) from error
            raise
        log.info("%s: %s", record.run_id, told(record))
    if request.signal is not None:
        raise RunInterrupted(request.exit_status)
    return record


def prepare(directory: RunDirectory, settings: Mapping[str, Any], parts: Parts, record: Record) -> None:
    """Write what a run directory holds from the start. Raises OSError."""
    directory.checkpoint.parent.mkdir(exist_ok=True)
    OmegaConf.save(OmegaConf.create(dict(settings)), directory.config)
    np.savez_compressed(directory.inputs, allow_pickle=False, **parts.samples)
    directory.write(record)


def note_error(directory: RunDirectory, record: Record, error: BaseException) -> None:
    """Write into a run's record what ended it: a failure, or something that may be over when it is asked for again."""
    passing = isinstance(error, torch.AcceleratorError) or not isinstance(error, Exception)
    record.status = "interrupted" if passing else "failed"
    record.error = "".join(traceback.format_exception(error))
    directory.write(record)


def told(record: Record) -> str:
    """Return how a run ended, in words."""
    if record.status == "interrupted":
        return "interrupted; asked for again, it goes on from its checkpoint"
    if record.status == "diverged":
        return f"diverged, the loss of update {record.diverged_at} is not finite"
    return ", ".join(f"{name} {value:.4f}" for name, value in record.metrics.items())


@contextmanager
def log_file(directory: RunDirectory) -> Iterator[None]:
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
