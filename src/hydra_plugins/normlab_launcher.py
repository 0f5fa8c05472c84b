"""Hydra's launchers for processes, populations, Slurm and Ray: how Hydra finds what starts the runs."""

import logging
import os
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, configure_log
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from normlab.sweeps.jobs import Work
    from normlab.sweeps.workers import Outcome

log = logging.getLogger(__name__)


class OutcomeLauncher(Launcher):
    """Runs all jobs of a sweep, and returns one whose process died as failed instead of ending with it.

    Hydra loads each plugin at every start of any Hydra command, so what is heavy is imported when launching.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Raises SystemExit where Ctrl-C or SIGTERM ended it, ConfigurationError where jobs cannot be started."""
        from normlab.config.checks import ConfigurationError
        from normlab.sweeps.jobs import composed_jobs, job_return, work_of

        if int(os.environ.get("WORLD_SIZE", 1)) > 1:
            raise ConfigurationError(
                "each run of this sweep is to be made by the processes that torchrun or the like has started"
                " (WORLD_SIZE in the environment), so one after another: choose hydra/launcher=basic"
            )
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        log.info("Launching %d runs", len(job_overrides))
        jobs = composed_jobs(self.hydra_context, self.config, job_overrides, initial_job_idx)
        outcomes = self.outcomes(work_of(self.hydra_context, self.task_function), jobs)
        return [job_return(overrides, outcome) for overrides, outcome in zip(job_overrides, outcomes, strict=True)]

    @abstractmethod
    def outcomes(self, work: "Work", jobs: Iterable[DictConfig]) -> "list[Outcome]":
        """Return the outcomes of `work(job)`, in the order of the jobs."""


class ProcessLauncher(OutcomeLauncher):
    """Worker processes on this machine.

    Args:
        workers: how many at once; null for as many as there are cores, or GPUs where runs use these, for their runs.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers

    def outcomes(self, work: "Work", jobs: Iterable[DictConfig]) -> "list[Outcome]":
        from normlab.sweeps.workers import run_in_processes

        return run_in_processes(work, jobs, *self.workers_and_places())

    def workers_and_places(self) -> tuple[int, list[dict[str, str]]]:
        """Return how many workers there are, and what the environment of each says of the GPUs that it is to use."""
        from normlab.sweeps.jobs import gpus_for_workers, runs_at_once

        accelerator = self.config.accelerator
        places = [{"CUDA_VISIBLE_DEVICES": gpus} for gpus in gpus_for_workers(accelerator.kind, accelerator.processes)]
        workers = self.workers or len(places) or runs_at_once(accelerator.processes)
        log.info("At most %d at once", workers)
        return workers, places


class PopulationLauncher(ProcessLauncher):
    """Worker processes on this machine, in each of which runs that differ in their seed alone are trained together.

    Args:
        size: how many runs are trained together at most.
        workers: how many processes at once; null as for `ProcessLauncher`.
    """

    def __init__(self, size: int, workers: int | None = None) -> None:
        super().__init__(workers)
        self.size = size

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Raises ConfigurationError where the size is out of range."""
        from normlab.config.checks import ConfigurationError

        if self.size < 1:
            raise ConfigurationError(f"hydra.launcher.size={self.size} is out of range: choose at least 1")
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def outcomes(self, work: "Work", jobs: Iterable[DictConfig]) -> "list[Outcome]":
        from normlab.population.launch import run_in_populations

        return run_in_populations(work, jobs, self.size, *self.workers_and_places())


class SubmititLauncher(OutcomeLauncher):
    """Jobs of Slurm, or of submitit's processes on this machine.

    hydra-submitit-launcher leaves a sweep at its first job without a result, and submits again what a driver that
    was killed had submitted; this one does neither. It takes the same settings.

    Args:
        cluster: "slurm" or "local".
        submitit_folder: for the jobs and what they print; on Slurm, on a file system that all nodes share.
        at_once: how many jobs may be submitted at a time; null for as many as this machine has cores for.
        max_num_timeout: how often a job may reach its time limit, be queued again and go on.
        parameters: of submitit's executor, such as `timeout_min`, `nodes` and `partition`.
    """

    def __init__(
        self,
        cluster: str,
        submitit_folder: str,
        at_once: int | None = None,
        max_num_timeout: int = 3,
        **parameters: Any,
    ) -> None:
        self.cluster = cluster
        self.folder = Path(submitit_folder).expanduser().absolute()
        self.at_once = at_once
        self.max_num_timeout = max_num_timeout
        self.parameters = parameters

    def outcomes(self, work: "Work", jobs: Iterable[DictConfig]) -> "list[Outcome]":
        from normlab.config.checks import extra
        from normlab.sweeps.jobs import runs_at_once

        with extra("slurm"):
            from normlab.sweeps.clusters import cluster_named
            from normlab.sweeps.slurm_jobs import run_as_jobs

        cluster = cluster_named(self.cluster, self.folder, self.max_num_timeout, self.parameters)
        return run_as_jobs(work, jobs, cluster, self.at_once or runs_at_once(self.config.accelerator.processes))


class RayLauncher(OutcomeLauncher):
    """Tasks of a Ray cluster.

    Args:
        address: "HOST:PORT" of its head; null for the one that `RAY_ADDRESS` names, or else one started here.
        num_cpus: cores that a run takes; null for one per process of it.
        num_gpus: GPUs that a run takes.
    """

    def __init__(self, address: str | None = None, num_cpus: float | None = None, num_gpus: float = 0) -> None:
        self.address = address
        self.num_cpus = num_cpus
        self.num_gpus = num_gpus

    def outcomes(self, work: "Work", jobs: Iterable[DictConfig]) -> "list[Outcome]":
        from normlab.config.checks import extra

        with extra("ray"):
            from normlab.sweeps.ray_tasks import run_as_tasks

        num_cpus = self.num_cpus or self.config.accelerator.processes
        return run_as_tasks(work, jobs, self.address, num_cpus, self.num_gpus)
