"""A search asks Optuna for trials, runs every seed in each, and goes on where it was left."""

import os
import re
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BruteForceSampler, RandomSampler

from normlab.config.compose import compose
from normlab.errors import ConfigurationError
from normlab.runs.directory import State
from normlab.runs.record import Record
from normlab.sweeps.search import Search

OVERRIDES = ("normalizer=none,tf_nn", "optimizer.lr=tag(log,interval(0.001,1))", "seed=0,1", "steps=5")


def search(storage: Path, n_trials: int = 4, overrides: tuple[str, ...] = OVERRIDES) -> Search:
    return Search(OverridesParser.create().parse_overrides(list(overrides)), storage, RandomSampler, n_trials)


def ended(accuracy: float) -> State:
    return State("finished", record=Record("a", "b", 0, {}, 1, metrics={"val/accuracy": accuracy}))


@pytest.mark.parametrize(
    ("override", "distribution"),
    [
        ("normalizer=none,tf_nn", CategoricalDistribution(["none", "tf_nn"])),
        ("model.hidden=[10,10],[20]", CategoricalDistribution(["[10,10]", "[20]"])),
        ("optimizer.lr=tag(log,interval(1e-3,1))", FloatDistribution(0.001, 1.0, log=True)),
        ("optimizer.lr=interval(0.1,0.5)", FloatDistribution(0.1, 0.5)),
        ("model.depth=int(interval(1,9))", IntDistribution(1, 9)),
        ("model.depth=range(1,10,2)", IntDistribution(1, 9, step=2)),
    ],
)
def test_sweeps_of_hydra_become_distributions_of_optuna(tmp_path: Path, override: str, distribution: object) -> None:
    assert list(search(tmp_path / "journal", overrides=(override,)).space.values()) == [distribution]


def test_a_trial_runs_every_seed_with_what_is_fixed_and_what_was_chosen(tmp_path: Path) -> None:
    searching = search(tmp_path / "journal")
    (trial,) = searching.next(1)
    jobs = searching.jobs_of(trial)
    assert [job[-1] for job in jobs] == ["seed=0", "seed=1"]
    chosen = [f"normalizer={trial.params['normalizer']}", f"optimizer.lr={trial.params['optimizer.lr']}"]
    for job in jobs:
        assert job[:-1] == ["steps=5", *chosen]


def test_the_value_of_a_trial_is_the_mean_over_its_seeds_and_a_diverged_run_counts_as_zero(tmp_path: Path) -> None:
    searching = search(tmp_path / "journal")
    first, second = searching.next(2)
    searching.tell(first, [ended(0.5), ended(0.7)])
    searching.tell(second, [ended(0.9), State("diverged", record=Record("a", "b", 0, {}, 1))])
    assert searching.study.trials[0].value == pytest.approx(0.6)
    assert searching.study.trials[1].value == pytest.approx(0.45)
    assert "best of 2 trials" in searching.best()
    assert searching.best().endswith("val/accuracy 0.6000")


def test_a_trial_that_was_cut_short_is_the_next_one_at_the_next_start(tmp_path: Path) -> None:
    searching = search(tmp_path / "journal")
    done, cut_short = searching.next(2)
    searching.tell(done, [ended(0.5), ended(0.5)])
    searching.tell(cut_short, [ended(0.5), State("interrupted")])
    again = search(tmp_path / "journal")
    (resumed,) = again.next(2)
    assert resumed.params == cut_short.params
    again.tell(resumed, [ended(0.8), ended(0.8)])
    assert len(again.next(5)) == 2  # of four in all


def test_new_trials_of_a_later_start_are_not_those_of_the_first(tmp_path: Path) -> None:
    searching = search(tmp_path / "journal", n_trials=2)
    first = {trial.params["optimizer.lr"] for trial in searching.next(2)}
    for trial in searching.trials:
        searching.tell(trial, [ended(0.5)])
    second = {trial.params["optimizer.lr"] for trial in search(tmp_path / "journal").next(2)}
    assert len(first | second) == 4


def test_other_overrides_make_another_search_in_the_same_storage(tmp_path: Path) -> None:
    search(tmp_path / "journal").next(2)
    assert search(tmp_path / "journal", overrides=(*OVERRIDES[:3], "steps=6")).trials == []


def test_a_failed_run_fails_its_trial_which_is_no_candidate(tmp_path: Path) -> None:
    searching = search(tmp_path / "journal")
    (trial,) = searching.next(1)
    searching.tell(trial, [ended(0.9), State("failed")])
    assert searching.best() == "no trial of 4 is complete"
    assert len(searching.next(9)) == 3


def test_a_trial_whose_runs_die_is_tried_again_and_then_fails_so_that_the_search_ends(tmp_path: Path) -> None:
    searching = search(tmp_path / "journal", n_trials=1)
    for _ in range(2):
        (trial,) = searching.next(1)
        searching.tell(trial, [ended(0.9), State("died")])
    assert searching.next(1) == []
    assert searching.best() == "no trial of 1 is complete"


def test_a_trial_whose_runs_were_stopped_does_not_fail_however_often(tmp_path: Path) -> None:
    searching = search(tmp_path / "journal", n_trials=1)
    for _ in range(4):
        (trial,) = searching.next(1)
        searching.tell(trial, [ended(0.9), State("died")], stopped=True)
    assert [running.number for running in searching.next(1)] == [trial.number]


@pytest.mark.parametrize("splits", ["test", "train,test", ""])
def test_a_search_for_what_is_not_measured_is_refused(tmp_path: Path, splits: str) -> None:
    run = compose("data=digits", f"evaluate.splits=[{splits}]")
    with pytest.raises(ConfigurationError, match=r"maximizes val/accuracy, which evaluate.splits=\[.*\] does not"):
        search(tmp_path / "journal").require_metric([run])


@pytest.mark.parametrize(
    "override", ["optimizer.lr=interval(1,0.1)", "optimizer.lr=tag(log,interval(0,1))", "batch_size=range(5,5)"]
)
def test_values_that_cannot_be_searched_are_refused_with_their_override(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"{override} cannot be searched: ")):
        search(tmp_path / "journal", overrides=(override,))


def test_a_range_that_descends_is_searched_as_one_that_ascends(tmp_path: Path) -> None:
    space = search(tmp_path / "journal", overrides=("batch_size=range(20,10,-4)",)).space
    assert space == {"batch_size": IntDistribution(12, 20, step=4)}


def test_a_search_ends_once_its_sampler_has_proposed_everything(tmp_path: Path) -> None:
    overrides = OverridesParser.create().parse_overrides(["normalizer=none,tf_nn"])
    searching = Search(overrides, tmp_path / "journal", BruteForceSampler, 9)
    told = 0
    while trials := searching.next(1):
        searching.tell(trials[0], [ended(0.5)])
        told += 1
    assert told == 2
    assert searching.best().startswith("best of 2 trials")


def test_a_database_is_refused_as_storage(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no path of a file"):
        search(Path("sqlite:///trials.db"))


def test_a_storage_that_was_cut_short_is_named_with_what_to_do(tmp_path: Path) -> None:
    storage = tmp_path / "journal"
    search(storage).next(1)
    storage.write_bytes(storage.read_bytes()[:-20])
    with storage.open("ab") as file:
        file.write(b"\n")
    with pytest.raises(ConfigurationError, match=r"journal holds a line that is not JSON.*hydra\.sweeper\.storage"):
        search(storage)


def test_the_lock_of_a_storage_is_a_link_that_does_not_dangle_so_that_one_left_behind_expires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = []
    link = os.symlink

    def note_and_link(target: str, name: str) -> None:
        targets.append(Path(target))
        link(target, name)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "symlink", note_and_link)
    search(Path("outputs/journal"))
    assert {*targets} == {tmp_path / "outputs" / "journal"}
