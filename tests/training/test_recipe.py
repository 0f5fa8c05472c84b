"""Recipes of optimization in runs: weight decay by parameter, and exact resumption, populations and processes."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import normlab
from normlab.errors import ConfigurationError
from normlab.models.layers import name_normalizer_parameters
from normlab.population.check import STEPS
from normlab.population.run import count_steps_done, train_together
from normlab.population.stack import Stack
from normlab.runs.run import Run
from normlab.training.automatic import AutomaticModule
from normlab.training.build import build
from normlab.training.module import TrainingModule
from normlab.training.run import RunInterrupted

from ..choices import tiny
from ..integration.conftest import curves_of

RECIPES = {
    "all at once": (
        *("schedule=cosine", "schedule.warmup=10", "gradient=clip_norm", "gradient.max_norm=0.5"),
        *("optimizer=adamw", "optimizer.decay_normalizers=false", "optimizer.weight_decay=0.1"),
        *("trainable=normalizers_and_output", "objective.label_smoothing=0.1"),
    ),
    "adaptive": (
        *("schedule=step", "gradient=adaptive_clip", "optimizer=momentum", "objective=sigmoid"),
        *("objective.label_smoothing=0.2", "optimizer.weight_decay=0.01"),
    ),
    "subset": ("schedule=linear", "trainable=random_subset", "gradient=clip_norm", "optimizer=adam"),
}
every_recipe = pytest.mark.parametrize("recipe", RECIPES)


def compose(place: Path, recipe: str, *overrides: str, model: str = "convnet") -> Run:
    return normlab.compose(
        *(*tiny(model), "batch_size=16", "steps=24", "normalizer=batch", "evaluate.one_by_one=0"),
        *("observe.val={first: 8, every: 8}", "observe.train_batch={first: 4, every: 4}"),
        *(*RECIPES[recipe], f"output_root={place}", *overrides),
    )


def stop_at(number: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that sends SIGTERM to this process in its call of that number."""
    calls = iter(range(1, 1000))

    def call(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == number:
            signal.raise_signal(signal.SIGTERM)
        return function(*args, **kwargs)

    return call


@every_recipe
@pytest.mark.parametrize(
    ("owner", "name", "overrides"),
    [
        (TrainingModule, "step", ()),
        (AutomaticModule, "training_step", ("+callbacks.inert._target_=pytorch_lightning.Callback",)),
    ],
    ids=["chunks", "automatic"],
)
def test_a_stopped_run_resumes_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str, owner: Any, name: str, overrides: tuple[str, ...]
) -> None:
    whole = compose(tmp_path / "whole", recipe, *overrides)
    assert normlab.train(whole).status == "finished"
    stopped = compose(tmp_path / "stopped", recipe, *overrides)
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, stop_at(15, getattr(owner, name)))
        with pytest.raises(RunInterrupted):
            normlab.train(stopped)
    assert 14 <= count_steps_done(stopped) < 24
    assert normlab.train(stopped).status == "finished"
    assert stopped.directory.metrics.read_bytes() == whole.directory.metrics.read_bytes()


@every_recipe
def test_members_of_a_population_that_is_stopped_end_as_lone_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    together = [compose(tmp_path / "together", recipe, f"seed={seed}", model="mlp") for seed in range(3)]
    with monkeypatch.context() as patched:
        patched.setattr(Stack, "step", stop_at(15 + STEPS, Stack.step))
        with pytest.raises(SystemExit):
            train_together(together)
    assert [count_steps_done(run) for run in together] == [15] * 3
    train_together(together)
    for run in together:
        record = run.directory.read()
        assert record is not None
        assert record.environment["trained_together"] == 3
        alone = compose(tmp_path / "alone", recipe, f"seed={run.settings['seed']}", model="mlp")
        normlab.train(alone)
        for name in ("val/loss", "train_batch/loss"):
            expected = curves_of(alone.directory.path)[name]
            assert curves_of(run.directory.path)[name] == pytest.approx(expected, rel=1e-4)


@every_recipe
def test_in_float64_a_population_ends_where_its_members_do_alone(recipe: str) -> None:
    alone, together = (members(recipe) for _ in range(2))
    for member in alone:
        for step in range(50):
            member.step(step)
    Stack(together).train(range(50))
    for one, other in zip(alone, together, strict=True):
        for name, value in one.network.state_dict().items():
            torch.testing.assert_close(other.network.state_dict()[name], value, rtol=1e-9, atol=1e-12)


def members(recipe: str) -> list[TrainingModule]:
    found = []
    for seed in range(3):
        parts = build(compose(Path(), recipe, "steps=50", f"seed={seed}").settings)
        module, preprocess = parts.module, parts.data.preprocess
        module.network.double()
        module.batches.preprocess = lambda inputs, preprocess=preprocess: preprocess(inputs).double()  # type: ignore[misc]
        found.append(module)
    return found


@pytest.mark.long
@every_recipe
def test_several_processes_train_as_one(tmp_path: Path, recipe: str) -> None:
    several, alone = compose(tmp_path, recipe, "accelerator=ddp"), compose(tmp_path, recipe)
    for run in (several, alone):
        assert normlab.train(run).status == "finished"
    for name in ("val/loss", "train_batch/loss"):
        expected = curves_of(alone.directory.path)[name]
        assert curves_of(several.directory.path)[name] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("model", ["convnet", "lstm", "vit"])
@pytest.mark.parametrize("optimizer", ["momentum", "adamw", "adam", "rmsprop"])
def test_without_weight_decay_of_normalizers_a_step_is_that_of_torch_with_two_groups(
    model: str, optimizer: str
) -> None:
    overrides = (
        *tiny(model),
        "normalizer=batch",
        f"optimizer={optimizer}",
        "optimizer.weight_decay=0.1",
        "batch_size=2",
    )
    module = build(normlab.compose(*overrides, "optimizer.decay_normalizers=false").settings).module.train()
    other = build(normlab.compose(*overrides).settings).module.train()
    own = {id(other.network.get_parameter(name)) for name in name_normalizer_parameters(other.network)}
    reference = other.make_optimizer(
        [
            {"params": [each for each in other.network.parameters() if id(each) not in own]},
            {"params": [each for each in other.network.parameters() if id(each) in own], "weight_decay": 0.0},
        ]
    )
    plain = build(normlab.compose(*overrides).settings).module.train()
    other.optimizer = reference
    for step in range(3):
        for each in (module, other, plain):
            each.step(step)
    states = [each.network.state_dict() for each in (module, other, plain)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert any(not torch.equal(value, states[2][name]) for name, value in states[0].items())


def test_a_decay_of_normalizers_that_is_no_switch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"optimizer\.decay_normalizers='some' has the wrong type: it is true"):
        normlab.train(compose(tmp_path, "adaptive", "optimizer.decay_normalizers=some"))
    assert list(tmp_path.iterdir()) == []
