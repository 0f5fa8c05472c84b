"""Where jobs can be sent by submitit: a Slurm cluster, or processes of this machine that stand in for one."""

import getpass
import os
import signal
import subprocess
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import submitit

from normlab.config.checks import ConfigurationError

SECONDS_BETWEEN_QUESTIONS = 5.0
"""How often Slurm is asked which jobs it has; its controller serves everybody."""

SHARED_PARAMETERS = (
    "name",
    "timeout_min",
    "mem_gb",
    "nodes",
    "cpus_per_task",
    "gpus_per_node",
    "tasks_per_node",
    "stderr_to_stdout",
)
"""What submitit calls alike on every cluster; its further parameters carry the cluster's name in front."""

Job = submitit.Job[Any]


class Slurm:
    """A cluster. It is asked by `squeue`, which always answers, where submitit needs accounting (`sacct`)."""

    job_class = submitit.SlurmJob

    def __init__(self, folder: Path, max_num_timeout: int) -> None:
        self.executor = submitit.AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=max_num_timeout)
        self._asked = time.monotonic()
        self._absent: set[str] = set()

    def present(self) -> set[str] | None:
        """Return the ids of this user's jobs, waiting ones included; None where Slurm does not answer."""
        command = ["squeue", f"--user={getpass.getuser()}", "--noheader", "--array", "--format=%i"]
        try:
            return set(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split())
        except (OSError, subprocess.SubprocessError):
            return None

    def gone(self, jobs: Collection[Job]) -> set[str]:
        """Return the ids of jobs that were absent twice in a row, so that a slow file system had time for a result."""
        if time.monotonic() - self._asked < SECONDS_BETWEEN_QUESTIONS:
            return set()
        self._asked = time.monotonic()
        present = self.present()
        if present is None:
            return set()
        absent = {job.job_id for job in jobs} - present
        gone = absent & self._absent
        self._absent = absent
        return gone

    def stop(self, jobs: Collection[Job]) -> None:
        """Let the jobs write a checkpoint and end."""
        subprocess.run(["scancel", *(job.job_id for job in jobs)], check=False)

    def ended(self, jobs: Collection[Job]) -> bool:
        present = self.present()
        return present is not None and present.isdisjoint(job.job_id for job in jobs)


class Local:
    """Processes on this machine that submitit starts and knows only while their driver lives."""

    job_class = submitit.LocalJob

    def __init__(self, folder: Path, max_num_timeout: int) -> None:
        self.executor = submitit.AutoExecutor(folder, cluster="local", local_max_num_timeout=max_num_timeout)

    def present(self) -> set[str] | None:
        """Return nothing that a driver could come back to; a run that still runs tells by its ownership."""
        return set()

    def gone(self, jobs: Collection[Job]) -> set[str]:
        return {job.job_id for job in jobs if job.done()}

    def stop(self, jobs: Collection[Job]) -> None:
        for job in jobs:
            with suppress(ProcessLookupError):
                os.kill(int(job.job_id), signal.SIGTERM)  # to submitit's controller, which passes it on

    def ended(self, jobs: Collection[Job]) -> bool:
        return len(self.gone(jobs)) == len(jobs)


CLUSTERS: dict[str, type[Slurm] | type[Local]] = {"slurm": Slurm, "local": Local}


def cluster_named(name: str, folder: Path, max_num_timeout: int, parameters: dict[str, Any]) -> Slurm | Local:
    """Return where to send jobs. Raises ConfigurationError where there is no Slurm, or no such parameter."""
    try:
        cluster = CLUSTERS[name](folder, max_num_timeout)
        cluster.executor.update_parameters(
            **{key if key in SHARED_PARAMETERS else f"{name}_{key}": value for key, value in parameters.items()}
        )
    except (RuntimeError, ValueError, NameError) as error:
        raise ConfigurationError(f"hydra/launcher=submitit_{name}: {error}") from error
    return cluster
