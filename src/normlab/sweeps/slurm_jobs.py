"""The runs of a sweep as jobs of Slurm, by way of submitit: they outlive their driver, which can come back to them."""

import json
import logging
import os
import signal
import time
import zlib
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import submitit
from omegaconf import DictConfig

from normlab.config.checks import ConfigurationError, run_directory
from normlab.config.compose import settings_of
from normlab.processes.children import SECONDS_TO_STOP
from normlab.processes.stopping import StopRequest
from normlab.runs.record import write_atomically
from normlab.sweeps.clusters import Job, Local, Slurm
from normlab.sweeps.jobs import Work
from normlab.sweeps.workers import Outcome

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 0.5
"""How often results are looked for."""


def run_as_jobs(
    work: Work, configs: Iterable[DictConfig], cluster: Slurm | Local, at_once: int | None
) -> list[Outcome]:
    """Return the outcomes of `work(config)` for all configs, in their order, each made by a job of its own.

    A job that is there already for a run, because a driver submitted it and was killed, is waited for instead of
    submitted again. Ctrl-C and SIGTERM cancel the jobs, which then write a checkpoint.

    Args:
        work: what a job calls.
        configs: of the jobs, composed and resolved.
        cluster: where the jobs go.
        at_once: how many jobs may be there at a time, None for all.

    Raises:
        ConfigurationError: where the cluster refuses the jobs.
        SystemExit: with 128 + the signal's number, where a signal ended it.
    """
    waiting = enumerate(configs)
    there: dict[int, Job] = {}
    outcomes: dict[int, Outcome] = {}
    with StopRequest().listening() as request:
        while request.signal is None:
            free = None if at_once is None else at_once - len(there)
            there |= _attached_or_submitted(dict(islice(waiting, free)), work, cluster)
            if not there:
                break
            time.sleep(SECONDS_BETWEEN_LOOKS)
            gone = cluster.gone(there.values())
            for number in [number for number, job in there.items() if _has_result(job) or job.job_id in gone]:
                outcomes[number] = _outcome(there.pop(number))
        if request.signal is not None:
            _stop(there.values(), cluster)
            raise SystemExit(request.exit_status)
    return [outcomes[number] for number in sorted(outcomes)]


class Task(submitit.helpers.Checkpointable):
    """What each task of a job calls. Near its time limit a job is queued again with the same arguments, and goes on."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def __call__(self, config: DictConfig) -> Any:
        environment = submitit.JobEnvironment()
        if environment.cluster == "local":
            os.setsid()  # Ctrl-C in the terminal goes to the driver alone, which passes it on once
        if int(os.environ.get("SLURM_RESTART_COUNT", 0)):
            config.force = False  # queued again: what this very job has made is to go on
        if environment.num_tasks > 1:
            for name, value in _rendezvous(environment).items():
                os.environ.setdefault(name, value)
        return self.work(config)


def _rendezvous(environment: submitit.JobEnvironment) -> dict[str, str]:
    """Return the variables by which the tasks of one job find each other, named as torch.distributed has them."""
    return {
        "RANK": str(environment.global_rank),
        "LOCAL_RANK": str(environment.local_rank),
        "WORLD_SIZE": str(environment.num_tasks),
        "MASTER_ADDR": environment.hostnames[0],
        "MASTER_PORT": str(20000 + zlib.crc32(environment.job_id.encode()) % 20000),
    }


def _attached_or_submitted(configs: dict[int, DictConfig], work: Work, cluster: Slurm | Local) -> dict[int, Job]:
    """Return a job for each config: the one in its note, where the cluster still has that, or else a new one."""
    if not configs:
        return {}
    notes = {number: _note_of(config, cluster.executor.folder) for number, config in configs.items()}
    present = cluster.present() or set()
    jobs: dict[int, Job] = {}
    for number, note in notes.items():
        job = _noted(note, cluster)
        if job is not None and job.job_id in present:
            log.info("%s is job %s already", note.stem, job.job_id)
            jobs[number] = job
    new = [number for number in configs if number not in jobs]
    for number, job in zip(new, _submitted([configs[number] for number in new], work, cluster), strict=True):
        write_atomically(notes[number], json.dumps({"job": job.job_id, "tasks": job.num_tasks}) + "\n")
        jobs[number] = job
    return jobs


def _note_of(config: DictConfig, folder: Path) -> Path:
    """Return the file that names the job of a run; two experiments may have the same run."""
    directory = run_directory(*settings_of(config))
    return folder / f"{directory.parents[1].name}.{directory.name}.json"


def _noted(note: Path, cluster: Slurm | Local) -> Job | None:
    try:
        content = json.loads(note.read_text())
        return cluster.job_class(cluster.executor.folder, content["job"], range(content["tasks"]))
    except (OSError, ValueError, KeyError, TypeError):  # none, or cut short
        return None


def _submitted(configs: Sequence[DictConfig], work: Work, cluster: Slurm | Local) -> list[Job]:
    if not configs:
        return []
    # What starts while Ctrl-C is ignored ignores it too: submitit's local controller would kill its task on it.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        jobs: list[Job] = cluster.executor.map_array(Task(work), configs)
    except submitit.core.utils.FailedJobError as error:
        raise ConfigurationError(f"the jobs are refused: {error}") from error
    finally:
        signal.signal(signal.SIGINT, handler)
    log.info("Submitted %d jobs, %s to %s", len(jobs), jobs[0].job_id, jobs[-1].job_id)
    return jobs


def _has_result(job: Job) -> bool:
    return bool(job.task(0).paths.result_pickle.exists())


def _outcome(job: Job) -> Outcome:
    """Return what came of the first task, which alone writes into the run directory."""
    first = job.task(0)
    if not _has_result(job):
        return Outcome(error=f"job {job.job_id} ended without a result; what it printed is in {first.paths.stdout}")
    error = first.exception()
    if error is not None:
        return Outcome(error=f"job {job.job_id}: {str(error).strip()}")
    return Outcome(value=first.result())


def _stop(jobs: Collection[Job], cluster: Slurm | Local) -> None:
    """Stop the jobs, and wait until they ended, or for as long as workers have for it."""
    if jobs:
        cluster.stop(jobs)
    end = time.monotonic() + SECONDS_TO_STOP
    while not cluster.ended(jobs) and time.monotonic() < end:
        time.sleep(SECONDS_BETWEEN_LOOKS)
