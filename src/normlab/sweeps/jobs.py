"""The work of a launcher: it trains the run of a job, in whichever process."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from normlab.config.sweep import Job, make_job_config


@dataclass(frozen=True)
class Work:
    """Does a job as Hydra's basic launcher does, in any process."""

    hydra: DictConfig
    """Hydra's own part of the config of any job of the sweep."""
    callbacks: Any
    task_function: TaskFunction
    singletons: Any = field(default_factory=Singleton.get_state)
    directory: Path = field(default_factory=Path.cwd)
    """The driver's working directory, in which relative paths start."""

    def __call__(self, job: Job) -> Any:
        """Return the value of the task function. Raises what it raises."""
        os.chdir(self.directory)
        setup_globals()
        Singleton.set_state(self.singletons)
        return run_job(
            hydra_context=HydraContext(config_loader=None, callbacks=self.callbacks),  # type: ignore[arg-type]
            task_function=self.task_function,
            config=make_job_config(self.hydra, job),
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        ).return_value
