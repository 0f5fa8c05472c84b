"""The jobs of a sweep are what Hydra composes, only faster, and a launcher gets what was planned."""

import copy
import pickle
from collections.abc import Callable, Iterator

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, open_dict, read_write

from normlab.config.compose import config_directory, read_run
from normlab.config.schema import register_schema
from normlab.config.sweep import PlannedJobs, Planner
from normlab.runs.run import Run

from ..choices import choices_of

GROUPS = (
    *("preprocessing", "augmentation", "sampler", "model", "normalizer", "initializer", "reparametrization"),
    *("objective", "optimizer", "schedule", "gradient", "trainable", "accelerator"),
)
VALUES = (
    "steps=7",
    "batch_size=32",
    "optimizer.lr=0.5",
    "optimizer.lr=1",
    "observe.val=null",
    "observe.val={first: 3, every: 9}",
    "observe.normalizers.every=11",
    "evaluate.splits=[val]",
    "model.activation=tanh",
    "accelerator.threads=2",
    "report.threshold=0.5",
    "+published.none.loss=1",
    "+trainer.profiler=simple",
    "+callbacks.own._target_=pytorch_lightning.Callback",
    "++normalizer.eps=0.01",
    "~published",
    "output_root=o/${hydra:job.num}",
    "output_root=o/${normalizer._target_}",
    "data.root=${oc.env:HOME}",
    "seed=${hydra:job.num}",
)


@pytest.fixture(scope="module")
def loader() -> Iterator[ConfigLoaderImpl]:
    register_schema()
    with initialize_config_dir(version_base="1.3", config_dir=str(config_directory())):
        found = GlobalHydra.instance().config_loader()
        assert isinstance(found, ConfigLoaderImpl)
        yield found


def sweep_of(loader: ConfigLoaderImpl, *overrides: str) -> DictConfig:
    return loader.load_configuration("config", list(overrides), RunMode.MULTIRUN)


def compose_as_hydra(loader: ConfigLoaderImpl, sweep: DictConfig, overrides: list[str], number: int) -> Run:
    """Compose a job as Hydra's basic launcher does."""
    job = loader.load_sweep_config(sweep, overrides)
    with open_dict(job):
        job.hydra.job.num = number
    HydraConfig.instance().set_config(job)
    config = copy.deepcopy(job)
    with read_write(config), open_dict(config):
        del config["hydra"]
    return read_run(config)


@st.composite
def overrides_of(draw: st.DrawFn, first: str) -> list[str]:
    """Draw the overrides of a job, in any order: choices of groups and plain values."""
    groups = draw(st.lists(st.sampled_from(GROUPS), unique=True, max_size=3))
    chosen = [f"{group}={draw(st.sampled_from(choices_of(group)))}" for group in groups]
    values = draw(st.lists(st.sampled_from(VALUES), unique=True, max_size=4))
    return draw(st.permutations([first, *chosen, *values]))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), number=st.integers(0, 9))
def test_a_planned_job_is_the_one_that_hydra_composes(
    loader: ConfigLoaderImpl, data: st.DataObject, number: int
) -> None:
    first = data.draw(st.sampled_from(["data=digits", *(f"experiment={name}" for name in choices_of("experiment"))]))
    overrides = data.draw(overrides_of(first))
    sweep = sweep_of(loader, first)
    found = outcome(lambda: Planner(loader, sweep).plan(overrides, number).run)
    assert found == outcome(lambda: compose_as_hydra(loader, sweep, overrides, number))


def outcome(compose: Callable[[], Run]) -> Run | tuple[str, str]:
    """Return a run, or the error in its place."""
    try:
        return compose()
    except Exception as error:
        return type(error).__name__, str(error)


def test_a_launcher_gets_the_settings_that_were_planned(loader: ConfigLoaderImpl) -> None:
    planner = Planner(loader, sweep_of(loader, "experiment=demo"))
    overrides = ["experiment=demo", "normalizer=tf_nn", "seed=${hydra:job.num}", "output_root=o/${now:%f}"]
    job = planner.plan(overrides, 3)
    planned = pickle.loads(pickle.dumps(PlannedJobs(planner.hydra, {tuple(overrides): job})))
    config = planned.load_sweep_config(None, overrides)
    assert (config.seed, config.hydra.job.num, config.hydra.runtime.choices.normalizer) == (3, 3, "tf_nn")
    assert config.output_root == job.run.settings["output_root"]
    HydraConfig.instance().set_config(config)
    with read_write(config), open_dict(config):
        del config["hydra"]
    assert read_run(config) == job.run


def test_all_jobs_of_a_sweep_have_one_time(loader: ConfigLoaderImpl) -> None:
    planner = Planner(loader, sweep_of(loader, "output_root=o/${now:%H%M%S%f}"))
    places = {
        planner.plan([f"normalizer={name}", f"seed={seed}", "output_root=o/${now:%H%M%S%f}"], seed).run.settings[
            "output_root"
        ]
        for seed in range(3)
        for name in ("none", "batch")
    }
    assert len(places) == 1


@pytest.mark.parametrize("override", ["nosuch=1", "optimizer.nosuch=1", "steps=many", "normalizer=nosuch"])
def test_an_override_that_does_not_fit_is_refused(loader: ConfigLoaderImpl, override: str) -> None:
    with pytest.raises(ConfigCompositionException):
        Planner(loader, sweep_of(loader)).plan([override], 0)
