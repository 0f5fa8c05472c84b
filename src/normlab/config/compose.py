"""From Hydra's configs to runs: those of a job that Hydra composed, and those of overrides without the command line."""

from pathlib import Path

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from normlab.config.checks import validate
from normlab.config.epochs import resolve_steps
from normlab.config.schema import Config, register_schema
from normlab.errors import ConfigurationError
from normlab.runs.directory import RunDirectory
from normlab.runs.run import Run


def config_directory() -> Path:
    """Return the folder of the config groups: inside an installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def compose(*overrides: str) -> Run:
    """Compose one run from the shipped configs, such as `compose("experiment=deep_cnn", "normalizer=tf_nn")`.

    Of an experiment that sweeps over values, this is the run with its default values. Raises ConfigurationError or
    Hydra's ConfigCompositionException, naming key and remedy.
    """
    register_schema()
    outer, outer_config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg  # of an application with Hydra
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(config_directory())):
            job = hydra.compose("config", overrides=list(overrides), return_hydra_config=True)
            HydraConfig.instance().set_config(job)
            return read_run(OmegaConf.masked_copy(job, [key for key in map(str, job) if key != "hydra"]))
    finally:
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = outer, outer_config


def read_run(config: DictConfig) -> Run:
    """Return the run of a job from its config without Hydra's own part, which is Hydra's current one.

    Raises ConfigurationError, naming key and remedy.
    """
    job = HydraConfig.get()
    resolve_steps(config, job.overrides.task, job.runtime.cwd)
    run = Run(
        settings=validate(config, job.runtime.cwd),
        choices={group: name for group, name in job.runtime.choices.items() if name and not group.startswith("hydra/")},
        overrides=tuple(job.overrides.task),
    )
    if run.settings["name"] and run.choices.get("experiment"):
        raise ConfigurationError(
            f"name={run.settings['name']} is for runs without an experiment: those of {run.experiment} have a"
            " folder of that name, below output_root"
        )
    return run


def reload(directory: Path) -> Run:
    """Return the run that a run directory holds, from its own config and record.

    Raises ConfigurationError if the directory holds no run, or one that this version of normlab would not name so.
    """
    run_directory = RunDirectory(directory)
    try:
        record = run_directory.read()
        if record is None:
            raise ValueError(f"{directory} is no run directory: it has no run.json")
        config = OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.load(run_directory.config))
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise ConfigurationError(str(error)) from error
    assert isinstance(config, DictConfig)
    run = Run(validate(config), record.choices)
    if run.id != record.run_id:
        version = record.environment.get("normlab", "an unknown version")
        raise ConfigurationError(
            f"{directory} is a run of another version of normlab ({version}), or its config was changed: this version"
            f" would name it {run.id}"
        )
    return run
