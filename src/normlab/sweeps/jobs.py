"""What Hydra's launchers have in common here: a job that can be sent to another process or machine, and its return."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from normlab.config.compose import settings_of
from normlab.sweeps.workers import Outcome


@dataclass(frozen=True)
class Work:
    """Does a composed job as Hydra's basic launcher does, wherever it was sent."""

    hydra_context: HydraContext
    task_function: TaskFunction
    singletons: Any
    directory: str
    """The driver's working directory, which relative paths start from."""

    def __call__(self, config: DictConfig) -> Any:
        """Return the value of the task function. Raises what it raises."""
        os.chdir(self.directory)
        setup_globals()
        Singleton.set_state(self.singletons)
        return run_job(
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        ).return_value


def work_of(hydra_context: HydraContext, task_function: TaskFunction) -> Work:
    """Return what does the jobs of a sweep that starts here."""
    return Work(hydra_context, task_function, Singleton.get_state(), str(Path.cwd()))


def composed_jobs(
    hydra_context: HydraContext, sweep: DictConfig, job_overrides: Sequence[Sequence[str]], first_number: int
) -> Iterator[DictConfig]:
    """Yield the config of each job, resolved: environment variables have the values that they have here."""
    for number, overrides in enumerate(job_overrides, first_number):
        composed = hydra_context.config_loader.load_sweep_config(sweep, list(overrides))
        with open_dict(composed):
            composed.hydra.job.id = composed.hydra.job.num = number
        settings, _ = settings_of(composed)
        yield OmegaConf.create({**settings, "hydra": composed.hydra})


def job_return(overrides: Sequence[str], outcome: Outcome) -> JobReturn:
    """Return an outcome as Hydra's sweepers take it."""
    returned = JobReturn(overrides=overrides, status=JobStatus.COMPLETED)
    returned.return_value = outcome.value
    if outcome.error is not None:
        returned.status = JobStatus.FAILED
        returned.return_value = CompactHydraException(outcome.error)
    return returned


def runs_at_once(processes: int) -> int:
    """Return how many runs of so many processes each the cores that this process may use are enough for, at least 1."""
    # macOS does not tell which cores a process may use.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // processes)


def gpus_for_workers(kind: str, processes: int) -> list[str]:
    """Return what each worker sees as `CUDA_VISIBLE_DEVICES`: as many GPUs of its own as a run has processes.

    None where runs use the CPU, or there is no GPU.
    """
    import torch

    if kind == "cpu" or not torch.cuda.is_available():
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
    gpus = visible.split(",")
    return [",".join(gpus[start : start + processes]) for start in range(0, len(gpus) - processes + 1, processes)]
