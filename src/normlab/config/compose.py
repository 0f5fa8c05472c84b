"""Where the shipped configs lie, and settings composed from them without the command: for notebooks and benchmarks."""

from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from normlab.config.checks import validated
from normlab.config.schema import register_schema


def config_directory() -> Path:
    """Return the folder of the config groups: inside an installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def settings_of(job: DictConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the validated settings, and the choices of config groups, of a job's config with Hydra's part in it.

    Raises ConfigurationError, naming key and remedy.
    """
    HydraConfig.instance().set_config(job)  # interpolations may ask for Hydra's choices
    without_hydra = OmegaConf.masked_copy(job, [key for key in map(str, job) if key != "hydra"])
    return validated(without_hydra), dict(job.hydra.runtime.choices)


def composed(*overrides: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what `run` takes for one run with these overrides, such as `"experiment=deep_cnn"`."""
    register_schema()
    with initialize_config_dir(version_base="1.3", config_dir=str(config_directory())):
        return settings_of(compose("config", overrides=list(overrides), return_hydra_config=True))
