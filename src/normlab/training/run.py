"""Train one run: build its parts, own its directory, fit from the latest checkpoint, evaluate, record."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytorch_lightning.utilities import rank_zero_only
from torch import nn

from normlab.config.compose import reload
from normlab.config.targets import call
from normlab.data import Splits
from normlab.errors import ConfigurationError
from normlab.runs.directory import RunDirectory
from normlab.runs.ownership import OwnedElsewhereError
from normlab.runs.record import Record
from normlab.runs.run import Run
from normlab.training.build import Parts, build, build_network
from normlab.training.checkpoints import capture_state, latest, restore
from normlab.training.data_parallel.gradients import DataParallel
from normlab.training.data_parallel.group import Group, join_group, start_followers
from normlab.training.session import Session, note_error, prepare
from normlab.training.trainer import fit

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


def train(run: Run, progress: bool = False, trial: bool = True) -> Record:
    """Train a run, or what is left of it, and return its record.

    A run that is finished, or that another process trains, is left alone. One that was cut short resumes from its
    latest sound checkpoint, and ends with the same bytes as if it had never stopped. `progress` shows a bar; `trial`
    tries a step first, so that what fails in every step fails before anything is written.

    Raises:
        ConfigurationError: on a mistake in config or data; nothing has been written.
        RunFailedError: the run raised; its record says `failed` and holds the traceback.
        RunInterrupted: after Ctrl-C or SIGTERM, once a checkpoint is written.
    """
    with join_group(run) as group:
        leads = group is None or group.rank == 0
        if leads and (result := run.result()) is not None:
            return result
        parts = build(run.settings, group.local_rank if group else 0, trial=trial)
        with parts.module.stop_request.listen() as stop:
            record = _lead(run, parts, group, progress) if leads else _follow(run, parts, group)
    if stop.signal is not None:
        raise RunInterrupted(stop.exit_status)
    return record or run.directory.read() or run.new_record()


def _lead(run: Run, parts: Parts, group: Group | None, progress: bool) -> Record | None:
    """Train in the process that owns the directory and writes; return None if another process owns it."""
    rank_zero_only.rank = 0  # type: ignore[attr-defined]  # Lightning takes it from Slurm's variables, among others
    try:
        with run.own() as steps:
            if (result := run.result()) is not None:  # another process has finished it meanwhile
                return result
            record = prepare(run, parts)
            log.info("%s: %d steps on %s in %s", run.id, record.steps, parts.device, run.directory.path)
            try:
                session = Session(run, parts, record)
                steps.start(lambda: session.module.steps_done)
                callbacks = [session.observer, *parts.callbacks, session.checkpoints]
                with _share(run, parts, group):
                    if not session.is_trained:
                        place = run.directory.path
                        fit(parts, run.settings, callbacks, session.loggers, place, progress, session.resumes_from)
                return session.finish()
            except BaseException as error:
                note_error(run, record, error)
                if isinstance(error, Exception):
                    raise RunFailedError(run.id, error) from error
                raise
    except OwnedElsewhereError as elsewhere:
        log.info("%s %s", run.id, elsewhere)
        return None


def _follow(run: Run, parts: Parts, group: Group | None) -> Record | None:
    """Train along in another process of the run, to the end that all agree on; write nothing and return None."""
    assert group is not None
    rank_zero_only.rank = group.rank  # type: ignore[attr-defined]
    try:
        with _share(run, parts, group) as is_shared:
            if is_shared:
                log.info("%s: process %d of %d", run.id, group.rank, group.size)
                fit(parts, run.settings)
    except Exception as error:
        raise RunFailedError(run.id, error) from error
    return None


@contextmanager
def _share(run: Run, parts: Parts, group: Group | None) -> Iterator[bool]:
    """Share the steps in this context among the processes of the run; return whether there are any to make.

    All processes start from the state of process 0.
    """
    if run.settings["accelerator"]["processes"] == 1:
        yield True
        return
    with start_followers(run, train) if group is None else group.explain_loss() as others:
        # GPUs keep the random generators of their own process.
        state = others.broadcast({**capture_state(parts.module), "gpu_generators": []} if others.rank == 0 else None)
        if state is not None and others.rank > 0:
            restore(parts.module, state)
        parts.module.parallel = DataParallel(others.rank, others.size, run.settings["seed"])
        yield state is not None


def restore_network(directory: Path) -> nn.Module:
    """Return the network of a run on the CPU, in inference mode, with the weights and buffers of its last checkpoint.

    The data are loaded too, since they determine the shape of the network. Raises ConfigurationError if the directory
    holds no finished run, the run cannot be built, or its checkpoint is gone.
    """
    state = RunDirectory(directory).state()
    if state.status != "finished":
        raise ConfigurationError(f"{directory} holds no finished run: it is {state.status}. {state.reason}".rstrip())
    run = reload(directory)
    checkpoint = latest(RunDirectory(directory))
    if checkpoint is None:
        raise ConfigurationError(f"{directory} has no sound checkpoint: train the run again with normlab-rerun")
    network = build_network(run.settings, Splits.of(call(run.settings, "data")))
    network.load_state_dict(checkpoint["network"])
    return network.eval()
