"""Train several seeds of one configuration in a single process."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_only

from normlab.errors import ConfigurationError
from normlab.population.check import reason_not_vectorizable, summarize_error
from normlab.population.stack import Stack
from normlab.runs.ownership import OwnedElsewhereError
from normlab.runs.run import Run
from normlab.runs.steps import StepCounter
from normlab.training.build import Parts, build
from normlab.training.checkpoints import Cadence, latest
from normlab.training.module import chunks
from normlab.training.session import Session, note_error, prepare

log = logging.getLogger(__name__)


class NotVectorizableError(Exception):
    """These runs cannot be trained as one population, or its training failed; the message says why, in one line."""


def count_steps_done(run: Run) -> int:
    """Return the step from which a run resumes; runs that are trained together resume from the same one."""
    checkpoint = None if run.settings["force"] else latest(run.directory)
    return int(checkpoint["steps_done"]) if checkpoint else 0


def train_together(runs: Sequence[Run]) -> None:
    """Train runs that differ in their seed alone, or what is left of them; their records say how they ended.

    A run that is finished, or that another process trains, is left alone.

    Raises:
        ConfigurationError: on a mistake in config or data, or if they differ in more; nothing has been written.
        NotVectorizableError: the runs have to be trained one by one.
        MemoryError: they do not fit into memory together.
        torch.AcceleratorError: the GPU was lost; the runs are interrupted and can resume.
        SystemExit: after Ctrl-C or SIGTERM, once checkpoints are written.
    """
    first = runs[0].settings
    reason = _reason_to_train_alone(first)
    if reason is not None:
        raise NotVectorizableError(reason)
    keys = [key for key in first if key != "seed" and any(run.settings[key] != first[key] for run in runs)]
    if keys:
        raise ConfigurationError(
            f"runs that are trained together may differ in their seed alone, not in {', '.join(keys)}"
        )
    rank_zero_only.rank = 0  # type: ignore[attr-defined]  # Lightning takes it from Slurm's variables, among others
    shared = build(first, trial=False)
    with ExitStack() as owned, shared.module.stop_request.listen() as stop:
        missing = []
        for run in runs:
            try:
                counter = owned.enter_context(run.own())
            except OwnedElsewhereError as elsewhere:
                log.info("%s %s", run.id, elsewhere)
                continue
            if run.result() is None:
                parts = build(run.settings, load=lambda *_: shared.data, trial=False)
                parts.module.stop_request = stop
                missing.append((run, parts, counter))
        if missing:
            _train(missing)
    if stop.signal is not None:
        raise SystemExit(stop.exit_status)


def _train(runs: Sequence[tuple[Run, Parts, StepCounter]]) -> None:
    """Train runs whose directories this process owns."""
    records = [prepare(run, parts, networks=len(runs)) for run, parts, _ in runs]
    log.info("%d runs of %d steps together on %s", len(runs), records[0].steps, runs[0][1].device)
    sessions: list[Session] = []
    try:
        for (run, parts, counter), record in zip(runs, records, strict=True):
            sessions.append(Session(run, parts, record, networks=len(runs)))
            counter.start(partial(getattr, parts.module, "steps_done"))
        reason = reason_not_vectorizable([session.module.train() for session in sessions])
        if reason is not None:
            raise NotVectorizableError(reason)
        fit_together(sessions)
    except BaseException as error:
        for session in sessions:
            session.close()
        for (run, *_), record in zip(runs, records, strict=True):
            note_error(run, record, error)
        raise _classify(error) from error
    for session in sessions:
        try:
            session.finish()
        except Exception as error:  # ends this run alone
            session.close()
            note_error(session.run, session.record, error)
            log.error("%s failed: %s: %s", session.run.id, type(error).__name__, error)


def fit_together(sessions: Sequence[Session]) -> None:
    """Train runs for which `reason_not_vectorizable` is None to their last step, a stop, or until all have diverged."""
    modules = [session.module for session in sessions]
    stack = Stack(modules)
    cadence = Cadence()
    first = sessions[0]
    for steps in chunks(first.module.steps_done, first.run.settings["steps"], first.parts.is_due):
        if stack.should_stop:
            break
        stack.train(steps)
        for session in sessions:
            # One that diverged earlier has ended; one that just did is observed like the others.
            if session.module.steps_done == steps.stop:
                session.observer.observe(session.module, session.loggers)
        if cadence.is_due:
            with cadence.time_writing():
                stack.distribute_optimizer_state()
                for session in sessions:
                    session.checkpoints.save(session.module)
    stack.distribute_optimizer_state()


def _classify(error: BaseException) -> BaseException:
    """Return an error as one of those that `train_together` raises."""
    # Torch has an exception of its own for that on GPUs alone.
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
        return MemoryError(summarize_error(error))
    known = torch.AcceleratorError | NotVectorizableError | MemoryError
    if isinstance(error, known) or not isinstance(error, Exception):
        return error
    return NotVectorizableError(summarize_error(error))


def _reason_to_train_alone(settings: Mapping[str, Any]) -> str | None:
    """Return why runs with these settings are trained one by one; None if the settings allow a population."""
    accelerator = settings["accelerator"]
    if accelerator["processes"] > 1:
        return "accelerator.processes shares each run among processes"
    if accelerator["compile"]:
        return "accelerator.compile compiles one network"
    if accelerator["precision"] == "16-mixed":
        return "16-mixed scales each run's loss by its own history"
    if settings["callbacks"] or settings["trainer"]:
        return "callbacks and trainer belong to Lightning, which trains one network"
    return None
