"""Tuned comparisons: every variant at its own best learning rate, which other seeds chose."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from normlab.report.analysis import Options, analyse
from normlab.report.load import load
from normlab.report.tuning import tune
from normlab.report.verdicts import judge_claims
from normlab.runs.claims import note_claims

from .made_runs import make_run

INFO = {
    name: {"better": "higher", "low": 0.0, "high": 1.0, "guess": 0.1, "resolution": 0.001}
    for name in ("val/accuracy", "test/accuracy")
}
BEST = {"none": 0.01, "batch": 0.1}


def make(root: Path, normalizer: str, lr: float, seed: int, val: float, test: float, **further: Any) -> None:
    make_run(
        root,
        normalizer,
        seed,
        metrics={"val/accuracy": val, "test/accuracy": test},
        config={"optimizer": {"_target_": "torch.optim.SGD", "lr": lr}},
        metrics_info=INFO,
        report={"tune": "optimizer.lr"},
        **further,
    )


def fill(root: Path, lrs: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0), best: Mapping[str, float] = BEST) -> None:
    """Write six seeds of two normalizers, each best at a learning rate of its own."""
    for normalizer, optimum in best.items():
        for lr in lrs:
            for seed in range(6):
                loss = 0.1 * abs(np.log10(lr / optimum)) + 0.001 * seed
                make(root, normalizer, lr, seed, 0.9 - loss, 0.8 - loss + 0.05 * (normalizer == "batch"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "made"


def test_every_variant_is_compared_at_its_own_best_value_on_the_test_split(root: Path) -> None:
    fill(root)
    ablation = analyse(load(root))
    assert ablation.metric == "test/accuracy"
    assert ablation.factors == ["normalizer"]
    means = {variant.name: variant.cells["test/accuracy"].summary.mean for variant in ablation.variants}  # type: ignore[union-attr]
    assert means == pytest.approx({"none": 0.7975, "batch": 0.8475})
    assert {run.config["optimizer"]["lr"] for run in ablation.results.details if run.variant == "batch"} == {0.1}
    assert len(ablation.results.runs) == 12
    assert set(ablation.results.curves["variant"]) == {"none", "batch"}


def test_a_run_has_no_part_in_the_choice_of_its_own_value(root: Path) -> None:
    # Seed 0 alone is best at 0.01, by far: over all six seeds that would win, over the other five it does not.
    for lr, seeds in {0.001: [0.5] * 6, 0.01: [1.0] + [0.55] * 5, 0.1: [0.0] + [0.6] * 5, 1.0: [0.5] * 6}.items():
        for seed, accuracy in enumerate(seeds):
            make(root, "none", lr, seed, accuracy, accuracy)
    tuned, _ = tune(load(root))
    chosen = {run.record.seed: run.config["optimizer"]["lr"] for run in tuned.details}
    assert chosen == {0: 0.1, **dict.fromkeys(range(1, 6), 0.01)}


def judge(root: Path, **claim: Any) -> Any:
    note_claims(root, {"it": {"says": "It is better.", "of": "batch", "over": "none", **claim}})
    (judged,), problems = judge_claims(tune(load(root))[0])
    assert problems == []
    return judged


def test_a_claim_is_about_the_test_split_at_the_best_values(root: Path) -> None:
    fill(root)
    (verdict,) = judge(root, by=0.04).verdicts
    assert (verdict.judgement.outcome, verdict.metric, verdict.judgement.n) == ("supported", "test/accuracy", 6)
    assert verdict.judgement.estimate == pytest.approx(0.05)


def test_a_choice_at_the_edge_of_the_grid_is_named_and_leaves_claims_undecided(root: Path) -> None:
    fill(root, lrs=(0.001, 0.01, 0.1))
    (verdict,) = judge(root, by=0.04).verdicts
    assert verdict.judgement.outcome == "undecided"
    assert verdict.obstacle == "batch: optimizer.lr=0.1 lies at the edge of the values tried"
    assert verdict.notes == (f"undecided: {verdict.obstacle}",)


def test_values_that_are_no_numbers_have_no_edge(root: Path) -> None:
    for kind, accuracy in (("sgd", 0.5), ("adam", 0.6)):
        for seed in range(6):
            metrics = {"val/accuracy": accuracy, "test/accuracy": accuracy}
            config = {"optimizer": {"_target_": kind}}
            make_run(root, "none", seed, metrics=metrics, config=config, choices={"optimizer": kind})
    tuned, _ = tune(load(root), "optimizer")
    assert tuned.at_edge == {}
    assert {run.record.choices["optimizer"] for run in tuned.details} == {"adam"}


def test_of_values_that_are_equally_good_the_one_nearest_to_the_middle_is_chosen(root: Path) -> None:
    for lr in (0.001, 0.01, 0.1):
        for seed in range(3):
            make(root, "none", lr, seed, 0.1, 0.1)
    tuned, _ = tune(load(root))
    assert {run.config["optimizer"]["lr"] for run in tuned.details} == {0.01}


def test_variants_are_tuned_over_the_values_that_all_have(root: Path) -> None:
    fill(root)
    for seed in range(6):
        make(root, "none", 0.03, seed, 0.99, 0.99)
    tuned, notes = tune(load(root))
    assert "Not all variants have optimizer.lr=0.03: left out." in notes
    assert {run.config["optimizer"]["lr"] for run in tuned.details if run.variant == "none"} == {0.01}


def test_variants_that_share_no_two_values_are_not_tuned(root: Path) -> None:
    for normalizer, lrs in (("none", (0.1, 0.2)), ("batch", (0.2, 0.4))):
        for lr in lrs:
            for seed in range(2):
                make(root, normalizer, lr, seed, 0.5, 0.5)
    tuned, (note,) = tune(load(root))
    assert len(tuned.details) == 8
    assert note == "Variants are not tuned: report.tune=optimizer.lr needs two values that all variants have."


def test_variants_that_nothing_but_the_factor_tells_apart_are_one(root: Path) -> None:
    for normalizer, accuracy in (("none", 0.5), ("batch", 0.6)):
        for seed in range(2):
            make(root, normalizer, 0.1, seed, accuracy, accuracy)
    tuned, _ = tune(load(root), "normalizer")
    assert {run.variant for run in tuned.details} == {"mlp-batch"}
    assert {run.record.choices["normalizer"] for run in tuned.details} == {"batch"}


def test_a_diverged_run_counts_as_guessing_in_the_choice(root: Path) -> None:
    for lr in (0.01, 0.1, 1.0):
        for seed in range(6):
            status: Any = "diverged" if lr == 1.0 and seed == 5 else "finished"
            accuracy = {0.01: 0.5, 0.1: 0.7, 1.0: 0.75}[lr]
            make(root, "none", lr, seed, accuracy, accuracy, status=status)
    tuned, _ = tune(load(root))
    chosen = {run.record.seed: run.config["optimizer"]["lr"] for run in tuned.details}
    assert chosen == {**dict.fromkeys(range(5), 0.1), 5: 1.0}


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        ("optimizer.momentum", r"is no factor in which these runs differ: those are normalizer, optimizer\.lr"),
        ("optimizer.lr", "needs two seeds whose runs have ended at all of its values"),
    ],
)
def test_a_factor_that_cannot_be_tuned_is_a_mistake_in_an_option_and_a_note_in_an_experiment(
    root: Path, factor: str, message: str
) -> None:
    for normalizer in ("none", "batch"):
        for lr in (0.1, 0.2):
            make_run(root, normalizer, 0, config={"optimizer": {"lr": lr}}, report={"tune": factor})
    with pytest.raises(ValueError, match=message):
        analyse(load(root), Options(tune=factor))
    ablation = analyse(load(root))
    assert len(ablation.variants) == 4
    assert any(note.startswith(f"Variants are not tuned: report.tune={factor}") for note in ablation.notes)
