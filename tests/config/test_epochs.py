"""Epochs in place of steps: resolved before a run is formed, whoever gives them."""

from fractions import Fraction
from math import ceil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import normlab
from normlab.config.sweep import plan_sweep
from normlab.errors import ConfigurationError
from normlab.report.variants import derive_labels

EXAMPLES = 1_247


@settings(deadline=None, max_examples=15)
@given(epochs=st.decimals("0.01", 50, places=2), batch_size=st.integers(1, EXAMPLES))
def test_epochs_are_the_updates_that_see_so_many_examples_rounded_up(epochs: object, batch_size: int) -> None:
    run = normlab.compose("data=digits", f"epochs={epochs}", f"batch_size={batch_size}")
    assert run.settings["steps"] == ceil(Fraction(str(epochs)) * EXAMPLES / batch_size)


def test_a_run_is_the_same_whether_it_was_given_steps_or_epochs() -> None:
    steps, epochs = (normlab.compose("data=digits", override) for override in ("steps=39", "epochs=2"))
    assert steps.settings == epochs.settings
    assert steps.id == epochs.id
    assert steps.new_record().steps == epochs.new_record().steps == 39


def test_without_both_there_are_10000_steps() -> None:
    assert normlab.compose().settings["steps"] == 10_000


def write_experiment(place: Path, *lines: str) -> tuple[str, ...]:
    """Write an experiment with some keys; return the overrides that choose it."""
    (place / "experiment").mkdir()
    (place / "experiment" / "own.yaml").write_text("\n".join(["# @package _global_", *lines]))
    return (f"hydra.searchpath=[file://{place}]", "data=digits", "experiment=own")


@pytest.mark.parametrize(
    ("of_file", "overrides", "steps"),
    [
        ("steps: 5", (), 5),
        ("epochs: 2", (), 39),
        ("steps: 5", ("epochs=2",), 39),
        ("steps: 5", ("++epochs=1",), 20),
        ("epochs: 2", ("steps=5",), 5),
        ("epochs: 2", ("epochs=1",), 20),
        ("steps: 5", ("epochs=${seed}", "seed=2"), 39),
        ("steps: ${seed}", ("seed=3",), 3),
    ],
)
def test_a_key_of_the_command_line_wins_over_the_other_one_in_a_file(
    tmp_path: Path, of_file: str, overrides: tuple[str, ...], steps: int
) -> None:
    chosen = write_experiment(tmp_path, of_file)
    run = normlab.compose(*chosen, *overrides)
    assert (run.settings["steps"], run.settings["epochs"]) == (steps, None)


def test_what_refers_to_the_steps_gets_those_of_the_epochs() -> None:
    run = normlab.compose("data=digits", "epochs=2", "observe.val.first=${steps}")
    assert run.settings["observe"]["val"]["first"] == 39


@pytest.mark.parametrize(
    ("of_file", "overrides"),
    [("steps: 5", ("steps=7", "epochs=2")), ("steps: 7\nepochs: 2", ()), ("batch_size: 8", ("epochs=2", "steps=7"))],
)
def test_both_in_one_place_are_an_error_that_names_both(
    tmp_path: Path, of_file: str, overrides: tuple[str, ...]
) -> None:
    chosen = write_experiment(tmp_path, of_file)
    with pytest.raises(ConfigurationError, match="steps=7 and epochs=2 are both set: set one of them, and the other"):
        normlab.compose(*chosen, *overrides)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("epochs=-1",), "epochs=-1 is out of range: choose a number above 0"),
        (("epochs=nan",), "epochs=nan is out of range"),
        (("epochs=1", "batch_size=0"), "batch_size=0 is out of range: choose at least 1"),
        (("epochs=???",), "epochs"),
        (("epochs=1", "data=mnist", "data.root=/nowhere", "data._target_=builtins.open"), "data: "),
        (("epochs=1", "data._target_=builtins.object"), "data: the train split is no pair of inputs and targets"),
    ],
    ids=str,
)
def test_what_gives_no_number_of_steps_is_named(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        normlab.compose("data=digits", *overrides)


def test_a_sweep_over_batch_sizes_at_equal_epochs_is_planned_in_steps_and_named_by_batch_sizes() -> None:
    runs = plan_sweep("experiment=demo", "normalizer=none", "seed=0", "epochs=1", "batch_size=10,100,1000")
    assert [run.settings["steps"] for run in runs] == [125, 13, 2]
    labels = derive_labels([run.settings for run in runs], [run.choices for run in runs])
    assert labels == [{"batch_size": size} for size in ("10", "100", "1000")]


def test_an_experiment_may_sweep_over_epochs(tmp_path: Path) -> None:
    chosen = write_experiment(tmp_path, "steps: 5", "hydra: {mode: MULTIRUN, sweeper: {params: {epochs: '1,2'}}}")
    runs = plan_sweep(*chosen)
    assert [run.settings["steps"] for run in runs] == [20, 39]
