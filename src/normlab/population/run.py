"""Runs that differ in their seed alone, made together in one process; each leaves what it leaves when run alone."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_only

from normlab.config.checks import ConfigurationError
from normlab.population.check import in_one_line, why_not_together
from normlab.population.fit import fit_together
from normlab.processes.stopping import StopRequest
from normlab.runs.ownership import OwnedElsewhereError
from normlab.runs.record import Record
from normlab.sweeps.plan import PlannedRun
from normlab.training.build import Parts, assemble
from normlab.training.checkpoints import latest
from normlab.training.run import log_file, new_record, note_error, owned, prepare, result_of, told
from normlab.training.session import Session, begun

log = logging.getLogger(__name__)


class NotTogetherError(Exception):
    """These runs cannot be trained as one population, or its training failed; the message says why, in one line."""


def updates_made(run: PlannedRun) -> int:
    """Return from which update a run goes on; runs that are trained together go on from the same one."""
    checkpoint = None if run.settings["force"] else latest(run.directory)
    return int(checkpoint["updates"]) if checkpoint else 0


def run_together(runs: Sequence[PlannedRun]) -> None:
    """Make runs that differ in their seed alone, or what is left of them; their records tell how they ended.

    A run that is finished, or that another process is making, is left alone.

    Raises:
        ConfigurationError: on a mistake in config or data, or where they differ in more; nothing has been written.
        NotTogetherError: where they are to be made alone.
        MemoryError: where they do not fit into memory together.
        torch.AcceleratorError: where the GPU was lost; they are interrupted, and can go on.
        SystemExit: after Ctrl-C or SIGTERM, once checkpoints are written.
    """
    reason = _why_alone(runs[0].settings)
    if reason is not None:
        raise NotTogetherError(reason)
    first = {**runs[0].settings, "seed": None}
    for run in runs[1:]:
        other = {**run.settings, "seed": None}
        if other != first:
            keys = ", ".join(key for key in first if first[key] != other.get(key))
            raise ConfigurationError(f"runs that are trained together may differ in their seed alone, not in {keys}")
    rank_zero_only.rank = 0  # type: ignore[attr-defined]  # Lightning takes it from Slurm's variables, among others
    shared = assemble(runs[0].settings)
    with ExitStack() as owning, StopRequest().listening() as request:
        mine = []
        for run in runs:
            try:
                owning.enter_context(owned(run.directory, run.settings["force"]))
            except OwnedElsewhereError as elsewhere:
                log.info("%s %s", run.directory.path.name, elsewhere)
                continue
            if result_of(run.directory) is None:
                mine.append((run, assemble(run.settings, like=shared)))
        if mine:
            _make(mine, request)
    if request.signal is not None:
        raise SystemExit(request.exit_status)


def _make(runs: Sequence[tuple[PlannedRun, Parts]], request: StopRequest) -> None:
    """Make runs whose directories this process owns."""
    records = [new_record(run.directory, run.settings, run.choices, parts) for run, parts in runs]
    for (run, parts), record in zip(runs, records, strict=True):
        record.environment["trained_together"] = len(runs)
        prepare(run.directory, run.settings, parts, record)
    sessions: list[Session] = []
    with ExitStack() as logs:
        for run, _ in runs:
            logs.enter_context(log_file(run.directory))
        log.info("%d runs of %d updates together on %s", len(runs), records[0].steps, runs[0][1].device)
        try:
            for (run, parts), record in zip(runs, records, strict=True):
                sessions.append(begun(run.settings, parts, run.directory, record, networks=len(runs)))
            reason = why_not_together([session.module.train() for session in sessions])
            if reason is not None:
                raise NotTogetherError(reason)
            fit_together(sessions, request)
        except BaseException as error:
            for session in sessions:
                session.close()
            for (run, _), record in zip(runs, records, strict=True):
                note_error(run.directory, record, error)
            raise _told_to_launchers(error) from error
    for (run, _), record, session in zip(runs, records, sessions, strict=True):
        with log_file(run.directory):
            _conclude(run, record, session)


def _conclude(run: PlannedRun, record: Record, session: Session) -> None:
    """Bring one run to its end, whatever becomes of the others."""
    try:
        session.conclude()
        run.directory.write(record)
    except Exception as error:
        session.close()
        note_error(run.directory, record, error)
        log.error("%s failed: %s: %s", record.run_id, type(error).__name__, error)
    else:
        log.info("%s: %s", record.run_id, told(record))


def _told_to_launchers(error: BaseException) -> BaseException:
    """Return an error as one of those that `run_together` raises."""
    # Torch has an exception of its own for that on GPUs alone.
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
        return MemoryError(in_one_line(error))
    if isinstance(error, torch.AcceleratorError | NotTogetherError | MemoryError) or not isinstance(error, Exception):
        return error
    return NotTogetherError(in_one_line(error))


def _why_alone(settings: Mapping[str, Any]) -> str | None:
    """Return why runs with these settings are made one by one, in words; None where nothing in them forbids it."""
    accelerator = settings["accelerator"]
    if accelerator["processes"] > 1:
        return "accelerator.processes shares each run among processes"
    if accelerator["compile"]:
        return "accelerator.compile compiles one network"
    if accelerator["precision"] == "16-mixed":
        return "16-mixed scales each run's loss by what happened in it"
    if settings["callbacks"] or settings["trainer"]:
        return "callbacks and trainer are of Lightning, which trains one network"
    return None
