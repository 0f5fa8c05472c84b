"""The jobs of a sweep: composed once per combination of config groups, with plain values set on copies."""

import copy
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from normlab.config.compose import config_directory, read_run
from normlab.config.schema import register_schema
from normlab.runs.run import Run


@dataclass(frozen=True)
class Job:
    """A run of a sweep, and its number there (`${hydra:job.num}`)."""

    number: int
    run: Run


@dataclass(frozen=True)
class PlannedJobs:
    """Stands in for Hydra's config loader in a launcher, so that it runs what was planned."""

    hydra: DictConfig
    """Hydra's own part of a job's config."""
    jobs: Mapping[tuple[str, ...], Job]
    """By overrides."""

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: Sequence[str]) -> DictConfig:
        """Return the config of a planned job, resolved, with Hydra's own part."""
        return make_job_config(self.hydra, self.jobs[tuple(sweep_overrides)])


def plan_sweep(*overrides: str) -> list[Run]:
    """Plan the runs that `normlab` would run with these arguments.

    Raises:
        ConfigCompositionException: an override does not fit the config.
        ConfigurationError: a value is missing, unresolvable or out of range.
    """
    register_schema()
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(config_directory())):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration("config", list(overrides), RunMode.MULTIRUN, from_shell=False)
        HydraConfig.instance().set_config(config)
        planner = Planner(loader, config)  # type: ignore[arg-type]  # Hydra has one loader
        swept = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
        parsed = OverridesParser.create(loader).parse_overrides([*swept, *config.hydra.overrides.task])
        (jobs,) = BasicSweeper.split_arguments(parsed, None)
        return [planner.plan(job, number).run for number, job in enumerate(jobs)]


def make_job_config(hydra: DictConfig, job: Job) -> DictConfig:
    """Return the config of a job, resolved, with Hydra's own part: that of another job of the sweep, adapted."""
    node = copy.deepcopy(hydra)
    OmegaConf.set_readonly(node, False)  # launchers write into it
    _describe(node, job.run.overrides, job.number)
    with read_write(node), open_dict(node):
        node.runtime.choices.update(job.run.choices)
    return OmegaConf.create({**job.run.settings, "hydra": node})


class Planner:
    """Composes the jobs of a sweep as Hydra's `load_sweep_config` does, only much faster.

    Hydra takes about 0.1 s to compose a job, most of it for the defaults list, which depends on the choices of config
    groups alone. So Hydra composes once for each combination of these; plain values are set on a copy, whose
    interpolations are then resolved for the job.
    """

    def __init__(self, loader: ConfigLoaderImpl, sweep: DictConfig) -> None:
        self._loader = loader
        self._sweep = sweep
        hydra_overrides = list(sweep.hydra.overrides.hydra)
        _, repository = loader._parse_overrides_and_create_caching_repo(sweep.hydra.job.config_name, hydra_overrides)
        self._group_exists = cache(repository.group_exists)
        self._bases: dict[tuple[str, ...], tuple[DictConfig, Any]] = {}
        with suppress(OmegaConfBaseException):
            OmegaConf.select(sweep, "output_root")  # all jobs inherit the time that `${now:}` resolves to here

    def plan(self, overrides: Sequence[str], number: int) -> Job:
        """Return a job.

        Raises:
            ConfigCompositionException: an override does not fit the config.
            ConfigurationError: a value is missing, unresolvable or out of range.
        """
        parsed = [_parse(text) for text in overrides]
        values = [override for override in parsed if not self._is_choice(override)]
        base, hydra = self._compose(tuple(str(each.input_line) for each in parsed if self._is_choice(each)))
        config = copy.deepcopy(base)
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        _describe(hydra.hydra, overrides, number)
        hydra.hydra._set_parent(config)
        HydraConfig.instance().cfg = hydra
        return Job(number, read_run(config))

    @property
    def hydra(self) -> DictConfig:
        """Hydra's own part of the config of a planned job."""
        _, hydra = next(iter(self._bases.values()))
        node: DictConfig = hydra.hydra
        return node

    def _compose(self, choices: tuple[str, ...]) -> tuple[DictConfig, Any]:
        """Return the unresolved config for some choices, without Hydra's own part, and what `HydraConfig` holds."""
        if choices not in self._bases:
            config = self._loader.load_sweep_config(self._sweep, list(choices))
            HydraConfig.instance().set_config(config)
            base = copy.deepcopy(config)
            with read_write(base), open_dict(base):
                del base["hydra"]
            self._bases[choices] = base, HydraConfig.instance().cfg
        return self._bases[choices]

    def _is_choice(self, override: Override) -> bool:
        """Whether an override takes part in the defaults list, as Hydra's `create_defaults_list` decides it."""
        return self._group_exists(override.key_or_group) and not isinstance(override.value(), dict)


@lru_cache(maxsize=10_000)
def _parse(override: str) -> Override:
    return OverridesParser.create().parse_overrides([override])[0]


def _describe(hydra: DictConfig, overrides: Sequence[str], number: int) -> None:
    """Write into Hydra's own part of a config which job it is of, as Hydra and its launchers do."""
    style = hydra.job.config.override_dirname
    with read_write(hydra), open_dict(hydra):
        hydra.overrides.task = list(overrides)
        hydra.job.override_dirname = get_overrides_dirname(
            [_parse(text) for text in overrides], list(style.exclude_keys), style.item_sep, style.kv_sep
        )
        hydra.job.num = number
        hydra.job.id = str(number)
