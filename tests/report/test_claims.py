"""Claims: their grammar, the number per seed that each reduces to, and verdicts over runs."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from normlab.report.claims import parse_claims
from normlab.report.claims_table import tabulate_claims
from normlab.report.load import load
from normlab.report.verdicts import JudgedClaim, judge_claims
from normlab.runs.claims import note_claims, read_claims

from .made_runs import make_run

SAYS = {"says": "It holds."}
INFO = {
    "val/accuracy": {"better": "higher", "low": 0.0, "high": 1.0, "guess": 0.1, "resolution": 0.001},
    "val/loss": {"better": "lower"},
}


def judge(root: Path, **claim: Any) -> JudgedClaim:
    """Judge one claim about the runs below a directory."""
    note_claims(root, {"it": {**SAYS, **claim}})
    (judged,), problems = judge_claims(load(root))
    assert problems == []
    return judged


def spread(center: float, seed: int) -> float:
    return center + 0.01 * (seed % 3 - 1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six seeds of `none` near 0.3, of `batch` near 0.9 and of `tf_nn` near 0.8, which first pass half of that."""
    root = tmp_path / "made"
    for normalizer, end in (("none", 0.3), ("batch", 0.9), ("tf_nn", 0.8)):
        for seed in range(6):
            accuracy = spread(end, seed)
            curves = {"val/accuracy": {10: accuracy / 2, 20: accuracy / 2 + 0.05, 100: accuracy}}
            make_run(root, normalizer, seed, accuracy=accuracy, curves=curves, metrics_info=INFO)
    return root


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ({"above": 0.5}, "claims.it.says is missing"),
        ({**SAYS}, "claims.it claims nothing: set over, like, above, below or equals"),
        ({**SAYS, "abov": 0.5}, "nothing reads claims.it.abov"),
        ({**SAYS, "over": "none", "by": -0.1}, "claims.it.by=-0.1 is a margin: choose at least 0"),
        ({**SAYS, "like": "none", "within": -1}, "claims.it.within=-1 is a margin"),
        ({**SAYS, "like": "none"}, "claims.it.within is missing"),
        ({**SAYS, "over": "none", "like": "none"}, "claims.it has both over and like"),
        ({**SAYS, "above": 0.5, "by": 0.1}, "claims.it.by goes with over"),
        ({**SAYS, "over": "none", "above": 0.1}, "claims.it.above is for values"),
        ({**SAYS, "above": 0.5, "below": 0.1}, "no value is above 0.5 and below 0.1"),
        ({**SAYS, "above": "high"}, "claims.it.above=high is no finite number"),
        ({**SAYS, "above": math.nan}, "is no finite number"),
        ({**SAYS, "above": 0.5, "at": 0}, "claims.it.at=0 is no step"),
        ({**SAYS, "above": 0.5, "at": 5, "until": 0.5}, "claims.it has both at and until"),
        ({**SAYS, "above": 0.5, "than_where": {"batch_size": 2}}, "set claims.it.over too"),
        ({**SAYS, "above": 0.5, "per": "doubling"}, "claims.it.per=doubling is for a slope"),
        ({**SAYS, "of": 3, "above": 0.5}, "claims.it.of=3 is no variant"),
        ("it helps", "claims.it=it helps is no claim"),
    ],
    ids=str,
)
def test_a_mistake_in_a_claim_is_named_with_its_key(claim: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"claims\.it") as raised:
        parse_claims({"it": claim})
    assert message in str(raised.value)


def test_a_claim_set_to_null_is_none() -> None:
    assert parse_claims({"it": None}) == []


def test_a_claim_over_a_variant_is_about_differences_paired_by_seed(root: Path) -> None:
    judged = judge(root, of=["batch", "tf_nn"], over="none", by=0.5)
    assert [verdict.variant for verdict in judged.verdicts] == ["batch", "tf_nn"]
    batch, tf_nn = (verdict.judgement for verdict in judged.verdicts)
    assert batch.estimate == pytest.approx(0.6)
    assert (batch.outcome, batch.n) == ("supported", 6)
    assert tf_nn.estimate == pytest.approx(0.5)
    assert tf_nn.outcome == "undecided"
    assert judged.outcome == "undecided"


def test_a_claim_refuted_for_one_variant_is_refuted(root: Path) -> None:
    judged = judge(root, of=["batch", "tf_nn"], above=0.85)
    assert [verdict.judgement.outcome for verdict in judged.verdicts] == ["supported", "refuted"]
    assert judged.outcome == "refuted"
    assert [verdict.wins for verdict in judged.verdicts] == [6, 0]


def test_an_improvement_follows_the_direction_of_its_metric(root: Path) -> None:
    (verdict,) = judge(root, metric="val/loss", of="batch", over="none").verdicts
    assert verdict.judgement.estimate == pytest.approx(0.6)
    assert verdict.judgement.outcome == "supported"


def test_a_claim_of_equivalence_is_about_plain_differences(root: Path) -> None:
    (near,) = judge(root, of="tf_nn", like="batch", within=0.15).verdicts
    (far,) = judge(root, of="tf_nn", like="none", within=0.15).verdicts
    assert near.judgement.estimate == pytest.approx(-0.1)
    assert near.judgement.outcome == "supported"
    assert far.judgement.outcome == "refuted"


def test_a_claim_without_variants_is_about_all_but_its_rival(root: Path) -> None:
    assert [verdict.variant for verdict in judge(root, over="none").verdicts] == ["batch", "tf_nn"]


def test_a_value_at_a_step_is_that_of_the_curve(root: Path) -> None:
    (verdict,) = judge(root, of="batch", at=10, equals=0.45, within=0.05).verdicts
    assert verdict.judgement.estimate == pytest.approx(0.45)
    assert verdict.judgement.outcome == "supported"


def test_steps_until_a_value_count_one_more_than_the_budget_if_it_is_never_passed(root: Path) -> None:
    (verdict,) = judge(root, of="batch", until=0.48, over="none", by=50).verdicts
    assert verdict.judgement.estimate == pytest.approx(101 - 20)
    assert verdict.judgement.outcome == "supported"
    assert verdict.judgement.low < verdict.judgement.estimate  # observed every 10 steps, so not to the step


def test_a_rate_is_the_share_of_runs_that_pass_a_value(root: Path) -> None:
    (passing,) = judge(root, of="batch", rate=0.85, above=0.3).verdicts
    (failing,) = judge(root, of="none", rate=0.85, above=0.9).verdicts
    assert (passing.judgement.estimate, passing.judgement.outcome) == (1.0, "supported")
    assert (failing.judgement.estimate, failing.judgement.outcome) == (0.0, "refuted")
    (certain,) = judge(root, of="batch", rate=0.85, above=0.9).verdicts
    assert certain.judgement.outcome == "undecided"  # six of six do not prove nine of ten


def make_grid(root: Path) -> None:
    """Accuracy falls by 0.1 per doubling of the batch size with `batch`, and not with `none`."""
    for normalizer, slope in (("none", 0.0), ("batch", 0.1)):
        for doublings in range(1, 4):
            for seed in range(6):
                accuracy = spread(0.4 + slope * (4 - doublings), seed)
                config = {"batch_size": 2**doublings}
                make_run(root, normalizer, seed, accuracy=accuracy, config=config, metrics_info=INFO)


def test_a_slope_is_fitted_for_each_seed(tmp_path: Path) -> None:
    make_grid(tmp_path / "grid")
    judged = judge(tmp_path / "grid", of="batch", along="batch_size", per="doubling", equals=-0.1, within=0.01)
    (verdict,) = judged.verdicts
    assert (verdict.variant, verdict.judgement.outcome) == ("batch", "supported")
    assert verdict.judgement.estimate == pytest.approx(-0.1)


def test_a_share_of_runs_may_have_a_slope_too(tmp_path: Path) -> None:
    make_grid(tmp_path / "grid")
    (verdict,) = judge(tmp_path / "grid", of="batch", rate=0.55, along="batch_size", per="doubling", below=0).verdicts
    assert verdict.judgement.estimate == pytest.approx(-0.5)  # 1, 1 and 0 of the runs
    assert verdict.judgement.outcome == "supported"


def test_a_slope_along_a_factor_that_does_not_vary_is_not_run_and_one_along_words_is_a_mistake(root: Path) -> None:
    assert judge(root, of="batch", along="batch_size", above=0).outcome == "not run"
    note_claims(root, {"it": {**SAYS, "along": "normalizer", "above": 0}})
    assert judge_claims(load(root)) == ([], ["claims.it.along=normalizer has the value batch, which is no number"])


def test_a_slope_per_doubling_of_zero_is_a_mistake(tmp_path: Path) -> None:
    for seed, depth in ((0, 0), (0, 2)):
        make_run(tmp_path / "e", "batch", seed, config={"depth": depth})
    note_claims(tmp_path / "e", {"it": {**SAYS, "along": "depth", "per": "doubling", "above": 0}})
    mistake = "claims.it.along=depth has the value 0, which has no logarithm: leave out per=doubling"
    assert judge_claims(load(tmp_path / "e")) == ([], [mistake])


def test_a_slope_of_improvements_is_along_the_variants_of_both_sides(tmp_path: Path) -> None:
    make_grid(tmp_path / "grid")
    (verdict,) = judge(tmp_path / "grid", of="batch", over="none", along="batch_size", below=-0.01).verdicts
    steps = np.polyfit([2, 4, 8], [0.3, 0.2, 0.1], 1)[0]
    assert verdict.judgement.estimate == pytest.approx(steps)
    assert verdict.judgement.outcome == "supported"


def test_an_effect_may_be_larger_at_one_level_of_a_factor_than_at_another(tmp_path: Path) -> None:
    make_grid(tmp_path / "grid")
    levels = {"where": {"batch_size": 2}, "than_where": {"batch_size": 8}}
    (verdict,) = judge(tmp_path / "grid", of="batch", over="none", by=0.1, **levels).verdicts
    assert verdict.judgement.estimate == pytest.approx(0.2)
    assert verdict.judgement.outcome == "supported"


def test_a_claim_about_a_variant_that_was_not_run_is_not_run(root: Path) -> None:
    judged = judge(root, of=["batch", "layer"], over="none")
    assert [verdict.judgement.outcome for verdict in judged.verdicts] == ["supported", "not run"]
    assert judged.outcome == "not run"
    assert judge(root, of="batch", over="layer").outcome == "not run"


def test_a_claim_whose_runs_all_failed_or_whose_metric_is_absent_is_not_run(tmp_path: Path) -> None:
    for seed in range(6):
        make_run(tmp_path / "e", "none", seed, status="failed", metrics_info=INFO)
        make_run(tmp_path / "e", "batch", seed, metrics_info=INFO)
    assert judge(tmp_path / "e", of="none", above=0.5).outcome == "not run"
    assert judge(tmp_path / "e", of="batch", metric="test/f1", above=0.5).outcome == "not run"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e200, math.nan])
@pytest.mark.parametrize("claim", [{"below": 1.0}, {"at": 50, "below": 1.0}, {"over": "none"}], ids=str)
def test_a_run_whose_value_is_not_finite_counts_as_missing(tmp_path: Path, claim: dict[str, Any], value: float) -> None:
    for normalizer, end in (("none", 1.5), ("batch", 0.5)):
        for seed in range(7):
            loss = value if seed == 6 else spread(end, seed)
            curves = {"val/loss": {50: loss, 100: loss}}
            make_run(tmp_path / "e", normalizer, seed, metrics={"val/loss": loss}, curves=curves, metrics_info=INFO)
    (verdict,) = judge(tmp_path / "e", of="batch", metric="val/loss", **claim).verdicts
    assert (verdict.judgement.n, verdict.judgement.outcome) == (6, "supported")


def test_one_seed_decides_nothing_and_its_value_is_shown(tmp_path: Path) -> None:
    make_run(tmp_path / "e", "batch", 0, accuracy=0.9, metrics_info=INFO)
    (verdict,) = judge(tmp_path / "e", of="batch", above=0.5).verdicts
    assert verdict.judgement.outcome == "undecided"
    assert any("0.9" in note for note in verdict.notes)


def test_seeds_that_differ_between_the_sides_are_paired_as_far_as_they_go(tmp_path: Path) -> None:
    for seed in range(8):
        make_run(tmp_path / "e", "none", seed, accuracy=spread(0.3, seed), metrics_info=INFO)
        make_run(tmp_path / "e", "batch", seed + 2, accuracy=spread(0.9, seed), metrics_info=INFO)
    (verdict,) = judge(tmp_path / "e", of="batch", over="none").verdicts
    assert verdict.judgement.n == 6
    assert verdict.notes == ("the sides have different seeds: the 6 that they share are used",)


def make_diverging(root: Path) -> Path:
    for seed in range(7):
        make_run(root, "none", seed, accuracy=spread(0.3, seed), metrics_info=INFO)
        status: dict[str, Any] = {"status": "diverged", "diverged_at": 5} if seed == 6 else {}
        make_run(root, "batch", seed, accuracy=spread(0.9, seed), metrics_info=INFO, **status)
    return root


def test_a_diverged_run_counts_as_guessing_and_the_effect_without_it_is_given_too(tmp_path: Path) -> None:
    (verdict,) = judge(make_diverging(tmp_path / "e"), of="batch", over="none").verdicts
    assert verdict.judgement.n == 7
    assert verdict.judgement.estimate == pytest.approx((6 * 0.6 + 0.1 - spread(0.3, 6)) / 7)
    assert "diverged runs (seeds 6) count as guessing, 0.1; the mean of the other 6 seeds is 0.6" in verdict.notes


@pytest.mark.parametrize(
    "claim",
    [
        {"of": "batch", "metric": "val/loss", "over": "none"},
        {"of": "batch", "metric": "val/loss", "below": 5.0},
        {"of": "batch", "like": "none", "within": 0.9},
    ],
    ids=str,
)
def test_a_diverged_run_leaves_an_unbounded_metric_and_an_equivalence_undecided(
    tmp_path: Path, claim: dict[str, Any]
) -> None:
    (verdict,) = judge(make_diverging(tmp_path / "e"), **claim).verdicts
    assert verdict.judgement.outcome == "undecided"
    assert any("seeds 6 diverged" in note for note in verdict.notes)


def test_a_metric_without_direction_is_no_mistake_in_a_claim_that_needs_none(tmp_path: Path) -> None:
    for seed in range(6):
        make_run(tmp_path / "e", "none", seed, metrics={"norm": spread(1.0, seed)}, metrics_info={})
    assert judge(tmp_path / "e", metric="norm", equals=1.0, within=0.1).outcome == "supported"
    note_claims(tmp_path / "e", {"it": {**SAYS, "metric": "norm", "rate": 1.0, "above": 0.5}})
    judged, problems = judge_claims(load(tmp_path / "e"))
    assert judged == []
    assert problems == ["claims.it needs to know which values of norm are better, which no run records"]


def test_the_level_is_shared_among_the_claims_of_the_experiment(root: Path) -> None:
    alone = judge(root, of="batch", above=0.5).verdicts[0].judgement
    claims: dict[str, Any] = {name: {**SAYS, "of": "batch", "above": 0.5} for name in "abcd"}
    note_claims(root, {**claims, "e": None})
    shared = judge_claims(load(root))[0][0].verdicts[0].judgement
    assert shared.high - shared.low > alone.high - alone.low


def test_the_table_has_a_row_per_claim_and_variant(root: Path) -> None:
    table = tabulate_claims([judge(root, of=["batch", "layer"], above=0.85)])
    assert list(table["variant"]) == ["batch", "layer"]
    assert list(table["verdict"]) == ["supported", "not run"]
    assert table["region_low"].tolist() == [0.85, 0.85]
    assert table["region_high"].tolist() == [math.inf, math.inf]
    assert list(table["n"]) == [6, 0]


def test_a_claim_keeps_its_day_until_it_changes_and_says_after_how_many_runs(root: Path) -> None:
    claim = {**SAYS, "of": "batch", "above": 0.85}
    note_claims(root.with_name("new"), {"it": claim})
    assert read_claims(root.with_name("new"))["it"].runs_before == 0
    note_claims(root, {"it": claim})
    assert read_claims(root)["it"].runs_before == 18
    make_run(root, "none", 6)
    note_claims(root, {"it": claim})
    assert read_claims(root)["it"].runs_before == 18
    note_claims(root, {"it": {**claim, "above": 0.8}})
    assert read_claims(root)["it"].runs_before == 19
