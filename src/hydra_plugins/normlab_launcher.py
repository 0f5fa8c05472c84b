"""Hydra's launchers for processes, populations, Slurm and Ray.

Hydra loads each plugin at every start of any Hydra command, so nothing here imports torch, submitit or Ray before it
launches.
"""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, configure_log
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from normlab.config.checks import require_between
from normlab.config.sweep import Job, PlannedJobs
from normlab.errors import ConfigurationError, require_extra
from normlab.sweeps.jobs import Work
from normlab.sweeps.machine import assign_gpus, count_concurrent_runs
from normlab.sweeps.workers import Outcome, run_in_processes
from normlab.training.data_parallel.place import find_place

log = logging.getLogger(__name__)


class OutcomeLauncher(Launcher):
    """Runs all jobs of a sweep, and returns one whose process died as failed instead of ending with it."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Raises ConfigurationError if a number of the launcher is out of range."""
        for key in ("workers", "size", "at_once"):
            if getattr(self, key, None) is not None:
                require_between(f"hydra.launcher.{key}", getattr(self, key), 1)
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Raises SystemExit after Ctrl-C or SIGTERM, and ConfigurationError if jobs cannot be started."""
        if find_place() is not None:
            raise ConfigurationError(
                "each run of this sweep is shared by the processes that torchrun or the like has started (WORLD_SIZE in"
                " the environment), so runs are trained one after another: choose hydra/launcher=basic"
            )
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        planned = self.hydra_context.config_loader
        if not isinstance(planned, PlannedJobs):
            raise ConfigurationError("this launcher needs a plan of normlab: choose hydra/sweeper=normlab")
        work = Work(planned.hydra, self.hydra_context.callbacks, self.task_function)
        log.info("Launching %d runs", len(job_overrides))
        outcomes = self.run(work, [planned.jobs[tuple(overrides)] for overrides in job_overrides])
        return [
            JobReturn(overrides, status=JobStatus.COMPLETED, _return_value=outcome.value)
            if outcome.error is None
            else JobReturn(overrides, status=JobStatus.FAILED, _return_value=CompactHydraException(outcome.error))
            for overrides, outcome in zip(job_overrides, outcomes, strict=True)
        ]

    @abstractmethod
    def run(self, work: Work, jobs: Sequence[Job]) -> list[Outcome]:
        """Return the outcomes of `work(job)`, in the order of the jobs."""


@dataclass(kw_only=True)
class ProcessLauncher(OutcomeLauncher):
    """Worker processes on this machine.

    Args:
        workers: how many at once; null for one per core, or per GPU if runs use these, that a run takes.
    """

    workers: int | None = None

    def run(self, work: Work, jobs: Sequence[Job]) -> list[Outcome]:
        return run_in_processes(work, jobs, *self.plan_workers())

    def plan_workers(self) -> tuple[int, list[dict[str, str]]]:
        """Return the number of workers, and for each the environment variables that give it its GPUs."""
        accelerator = self.config.accelerator
        gpus = assign_gpus(accelerator.kind, accelerator.processes)
        workers = self.workers or len(gpus) or count_concurrent_runs(accelerator.processes)
        log.info("At most %d at once", workers)
        return workers, [{"CUDA_VISIBLE_DEVICES": visible} for visible in gpus]


@dataclass(kw_only=True)
class PopulationLauncher(ProcessLauncher):
    """Worker processes on this machine, each of which trains runs that differ in their seed alone together.

    Args:
        size: largest number of runs trained together.
    """

    size: int

    def run(self, work: Work, jobs: Sequence[Job]) -> list[Outcome]:
        from normlab.population.launch import run_in_populations

        return run_in_populations(work, jobs, self.size, *self.plan_workers())


class SlurmLauncher(OutcomeLauncher):
    """Slurm jobs, by submitit.

    hydra-submitit-launcher ends a sweep at its first job without a result, and submits again what a driver that was
    killed had submitted; this one does neither. It takes the same settings.

    Args:
        submitit_folder: for the jobs and their output, on a file system that all nodes share.
        at_once: largest number of jobs in the queue.
        max_num_timeout: how often a job may reach its time limit, be queued again and resume.
        parameters: of submitit's executor, such as `timeout_min`, `nodes` and `partition`.
    """

    def __init__(self, submitit_folder: str, at_once: int, max_num_timeout: int, **parameters: Any) -> None:
        self.folder = Path(submitit_folder).expanduser().absolute()
        self.at_once = at_once
        self.max_num_timeout = max_num_timeout
        self.parameters = parameters

    def run(self, work: Work, jobs: Sequence[Job]) -> list[Outcome]:
        with require_extra("slurm"):
            from normlab.sweeps.slurm import Slurm, run_on_slurm

        return run_on_slurm(work, jobs, Slurm(self.folder, self.max_num_timeout, self.parameters), self.at_once)


@dataclass(kw_only=True)
class RayLauncher(OutcomeLauncher):
    """Tasks of a Ray cluster.

    Args:
        address: "HOST:PORT" of its head; null for the one that `RAY_ADDRESS` names, or else one started here.
        num_cpus: cores of a run; null for one per process of it.
        num_gpus: GPUs of a run.
    """

    address: str | None = None
    num_cpus: float | None = None
    num_gpus: float = 0

    def run(self, work: Work, jobs: Sequence[Job]) -> list[Outcome]:
        with require_extra("ray"):
            from normlab.sweeps.ray import run_on_ray

        num_cpus = self.num_cpus or self.config.accelerator.processes
        return run_on_ray(work, jobs, self.address, num_cpus, self.num_gpus)
