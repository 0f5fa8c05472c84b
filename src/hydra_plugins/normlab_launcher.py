"""Hydra's launcher for one machine: as many runs at once as there are cores, each in a process that may die."""

import logging
import os
from collections.abc import Sequence
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

log = logging.getLogger(__name__)


class ProcessLauncher(Launcher):
    """Runs the jobs of a sweep in worker processes.

    Args:
        workers: how many at once; null for one per core that this process may use.
    """

    def __init__(self, workers: int | None = None) -> None:
        # What this process may use, where the system tells (macOS does not), else all there is.
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.workers = workers or usable

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run all jobs; one whose process died comes back as failed."""
        from normlab.processes import run_in_processes

        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        workers = min(self.workers, len(job_overrides))
        log.info("Launching %d runs, %d at once", len(job_overrides), workers)
        job = _Job(self.hydra_context, self.task_function, self.config, Singleton.get_state(), initial_job_idx)
        returns = []
        for overrides, outcome in zip(job_overrides, run_in_processes(job, job_overrides, workers), strict=True):
            result = JobReturn(overrides=overrides, status=JobStatus.COMPLETED)
            result.return_value = outcome.value
            if outcome.error is not None:
                result.status = JobStatus.FAILED
                result.return_value = CompactHydraException(outcome.error)
            returns.append(result)
        return returns


class _Job:
    """What a worker does with the overrides of one job; everything in it travels to the worker."""

    def __init__(
        self,
        hydra_context: HydraContext,
        task_function: TaskFunction,
        config: DictConfig,
        singletons: Any,
        first_number: int,
    ) -> None:
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config
        self.singletons = singletons
        self.first_number = first_number

    def __call__(self, number: int, overrides: Sequence[str]) -> Any:
        setup_globals()
        Singleton.set_state(self.singletons)
        composed = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(composed):
            composed.hydra.job.id = composed.hydra.job.num = self.first_number + number
        return run_job(
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=composed,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        ).return_value
