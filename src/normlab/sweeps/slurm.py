"""The runs of a sweep as Slurm jobs, by submitit: they outlive their driver, which can attach to them again."""

import getpass
import hashlib
import json
import logging
import os
import subprocess
import time
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import submitit

from normlab.config.sweep import Job
from normlab.errors import ConfigurationError
from normlab.files import write_atomically
from normlab.processes.children import SECONDS_TO_STOP
from normlab.processes.stopping import StopRequest
from normlab.sweeps.jobs import Work
from normlab.sweeps.workers import Outcome

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 0.5
"""Interval at which results are looked for."""

SECONDS_BETWEEN_QUERIES = 5.0
"""Interval of queries to Slurm, whose controller serves everybody."""

SlurmJob = submitit.SlurmJob[Any]


def run_on_slurm(work: Work, jobs: Sequence[Job], cluster: "Slurm", at_once: int) -> list[Outcome]:
    """Return the outcomes of `work(job)` for all jobs, in their order, each made by a Slurm job.

    At most `at_once` Slurm jobs are in the queue. If a run already has one, because a driver submitted it and was
    killed, that is waited for. Ctrl-C and SIGTERM cancel the Slurm jobs, which then write a checkpoint.

    Raises:
        ConfigurationError: Slurm refuses the jobs.
        SystemExit: with 128 + the signal's number, after a signal.
    """
    waiting = iter(jobs)
    queued: dict[int, SlurmJob] = {}
    outcomes: dict[int, Outcome] = {}
    with StopRequest().listen() as stop:
        while stop.signal is None:
            queued |= _attach_or_submit([*islice(waiting, at_once - len(queued))], work, cluster)
            if not queued:
                break
            time.sleep(SECONDS_BETWEEN_LOOKS)
            gone = cluster.find_gone(queued.values())
            for number in [number for number, job in queued.items() if _has_result(job) or job.job_id in gone]:
                outcomes[number] = _read_outcome(queued.pop(number))
        if stop.signal is not None:
            _cancel(queued.values(), cluster)
            raise SystemExit(stop.exit_status)
    return [outcomes[job.number] for job in jobs]


class Slurm:
    """A cluster, with the settings of `SlurmLauncher`.

    It is queried by `squeue`, which always answers, while submitit needs accounting (`sacct`). Raises
    ConfigurationError if there is no Slurm, or no such parameter.
    """

    def __init__(self, folder: Path, max_num_timeout: int, parameters: Mapping[str, Any]) -> None:
        if "%" in str(folder):
            raise ConfigurationError(
                f"hydra.launcher.submitit_folder={folder} contains %, which Slurm replaces: choose another folder"
            )
        try:
            self.executor = submitit.AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=max_num_timeout)
            common = self.executor._valid_parameters()  # those of Slurm alone start with its name
            self.executor.update_parameters(
                **{key if key in common else f"slurm_{key}": value for key, value in parameters.items()}
            )
        except (RuntimeError, ValueError, NameError) as error:
            raise ConfigurationError(f"hydra/launcher=submitit_slurm: {error}") from error
        self._asked = time.monotonic()
        self._absent: set[str] = set()

    def list_jobs(self) -> set[str] | None:
        """Return the ids of this user's jobs, waiting ones included; None if Slurm does not answer."""
        command = ["squeue", f"--user={getpass.getuser()}", "--noheader", "--array", "--format=%i"]
        try:
            return set(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split())
        except (OSError, subprocess.SubprocessError):
            return None

    def find_gone(self, jobs: Collection[SlurmJob]) -> set[str]:
        """Return the ids of jobs that were absent twice in a row, so that a slow file system had time for a result."""
        if time.monotonic() - self._asked < SECONDS_BETWEEN_QUERIES:
            return set()
        self._asked = time.monotonic()
        present = self.list_jobs()
        if present is None:
            return set()
        absent = {job.job_id for job in jobs} - present
        gone = absent & self._absent
        self._absent = absent
        return gone


class Task(submitit.helpers.Checkpointable):
    """The call of each task of a job. Near its time limit a job is queued again with the same arguments and resumes."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def __call__(self, job: Job) -> Any:
        environment = submitit.JobEnvironment()
        if int(os.environ.get("SLURM_RESTART_COUNT", 0)):  # queued again: it must not replace its own results
            job = replace(job, run=replace(job.run, settings={**job.run.settings, "force": False}))
        if environment.num_tasks > 1:
            for name, value in _get_distributed_variables(environment).items():
                os.environ.setdefault(name, value)
        return self.work(job)


def _get_distributed_variables(environment: submitit.JobEnvironment) -> dict[str, str]:
    """Return the variables by which the tasks of one job find each other, named as torch.distributed has them."""
    return {
        "RANK": str(environment.global_rank),
        "LOCAL_RANK": str(environment.local_rank),
        "WORLD_SIZE": str(environment.num_tasks),
        "MASTER_ADDR": environment.hostnames[0],
        "MASTER_PORT": str(20000 + zlib.crc32(environment.job_id.encode()) % 20000),
    }


def _attach_or_submit(jobs: Sequence[Job], work: Work, cluster: Slurm) -> dict[int, SlurmJob]:
    """Return a Slurm job for each job: the one in its note, if Slurm still has it, or else a new one."""
    if not jobs:
        return {}
    notes = {job.number: _note_of(job, cluster.executor.folder) for job in jobs}
    present = cluster.list_jobs() or set()
    found: dict[int, SlurmJob] = {}
    for job in jobs:
        slurm_job = _read_note(notes[job.number], cluster)
        if slurm_job is not None and slurm_job.job_id in present:
            log.info("%s already has job %s", job.run.id, slurm_job.job_id)
            found[job.number] = slurm_job
    new = [job for job in jobs if job.number not in found]
    for job, slurm_job in zip(new, _submit(new, work, cluster), strict=True):
        write_atomically(notes[job.number], json.dumps({"job": slurm_job.job_id, "tasks": slurm_job.num_tasks}) + "\n")
        found[job.number] = slurm_job
    return found


def _note_of(job: Job, folder: Path) -> Path:
    """Return the file that names the Slurm job of a run; several output folders may have the same run."""
    place = hashlib.sha256(str(job.run.directory.path.absolute()).encode()).hexdigest()[:8]
    return folder / f"{job.run.id}.{place}.json"


def _read_note(note: Path, cluster: Slurm) -> SlurmJob | None:
    try:
        content = json.loads(note.read_text())
        return submitit.SlurmJob(cluster.executor.folder, content["job"], range(content["tasks"]))
    except (OSError, ValueError, KeyError, TypeError):  # missing, or cut short
        return None


def _submit(jobs: Sequence[Job], work: Work, cluster: Slurm) -> list[SlurmJob]:
    if not jobs:
        return []
    try:
        with _hide_own_job():
            submitted: list[Any] = cluster.executor.map_array(Task(work), jobs)
    except submitit.core.utils.FailedJobError as error:
        raise ConfigurationError(f"the jobs are refused: {error}") from error
    log.info("Submitted %d jobs, %s to %s", len(submitted), submitted[0].job_id, submitted[-1].job_id)
    return submitted


@contextmanager
def _hide_own_job() -> Iterator[None]:
    """Hide the variables of the Slurm job that this process runs in, if any, which a new job would take for its own."""
    if "SLURM_JOB_ID" not in os.environ:
        yield
        return
    cluster = {name: value for name, value in os.environ.items() if name == "SLURM_CONF"}
    with submitit.helpers.clean_env():
        os.environ.update(cluster)
        yield


def _has_result(job: SlurmJob) -> bool:
    return bool(job.task(0).paths.result_pickle.exists())


def _read_outcome(job: SlurmJob) -> Outcome:
    """Return the outcome of the first task, which alone writes into the run directory."""
    first = job.task(0)
    if not _has_result(job):
        return Outcome(error=f"job {job.job_id} ended without a result; its output is in {first.paths.stdout}")
    error = first.exception()
    if error is not None:
        return Outcome(error=f"job {job.job_id}: {str(error).strip()}")
    return Outcome(value=first.result())


def _cancel(jobs: Collection[SlurmJob], cluster: Slurm) -> None:
    """Cancel jobs, and wait until they have ended, or for as long as they may take for a checkpoint."""
    ids = [job.job_id for job in jobs]
    if ids:
        subprocess.run(["scancel", *ids], check=False)
    end = time.monotonic() + SECONDS_TO_STOP
    while time.monotonic() < end:
        present = cluster.list_jobs()
        if present is not None and present.isdisjoint(ids):
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)
