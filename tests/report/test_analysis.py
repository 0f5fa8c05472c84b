"""What a report says of an ablation: summaries, comparisons with the baseline, thresholds, notes and the headline."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from normlab.report.ablation import Ablation, Variant
from normlab.report.analysis import Options, analyse
from normlab.report.load import load
from normlab.report.statistics import compare_pairs
from normlab.runs.claims import note_claims
from normlab.runs.directory import RunDirectory
from normlab.runs.record import Status
from tests.report.made_runs import make_ablation, make_run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep_cnn"


def make_runs(root: Path, accuracies: Mapping[str, Sequence[float]], **settings: Any) -> None:
    """Write a run for each accuracy; its place among those of its normalizer is its seed."""
    for normalizer, values in accuracies.items():
        for seed, accuracy in enumerate(values):
            make_run(root, normalizer, seed, accuracy=accuracy, **settings)


def analysed(root: Path, **options: Any) -> Ablation:
    return analyse(load(root), Options(**options))


def by_name(ablation: Ablation) -> dict[str, Variant]:
    return {variant.name: variant for variant in ablation.variants}


def notes_about(ablation: Ablation, text: str) -> list[str]:
    return [note for note in ablation.notes if text in note]


# The headline


def test_the_headline_counts_claims_and_names_the_largest_effect_in_either_direction(root: Path) -> None:
    make_runs(root, {"none": [0.5, 0.51, 0.5], "batch": [0.75, 0.75, 0.76], "tf_nn": [0.125, 0.135, 0.125]})
    claim = {"says": "It helps.", "of": "batch", "over": "none"}
    note_claims(root, {"helps": claim, "trains": {**claim, "of": "layer"}})
    comparison = by_name(analysed(root))["tf_nn"].cells["val/accuracy"].comparison
    assert comparison is not None
    low, high = (f"−{abs(end):.4f}" for end in (comparison.interval.low, comparison.interval.high))
    assert analysed(root).headline == (
        "0 of 2 claims supported, 1 undecided, 1 not run. Largest effect on val/accuracy: tf_nn is 0.3750 below none,"
        f" better in 0 of 3 seeds (95 % interval [{low}, {high}])."
    )


def test_the_headline_of_fewer_than_three_pairs_has_no_interval(root: Path) -> None:
    make_runs(root, {"none": [0.25], "batch": [0.75]})
    assert analysed(root).headline == (
        "Largest effect on val/accuracy: batch is 0.5000 above none, better in 1 of 1 seed."
    )


def test_the_headline_of_a_loss_says_where_the_variant_is_better(root: Path) -> None:
    make_runs(root, {"none": [0.25, 0.375], "batch": [0.75, 0.75]})
    headline = analysed(root, metric="val/loss").headline
    assert headline == "Largest effect on val/loss: batch is 0.4375 below none, better in 2 of 2 seeds."


def test_the_headline_of_one_variant_alone_names_its_mean(root: Path) -> None:
    make_runs(root, {"batch": [0.5, 0.5]})
    assert analysed(root).headline == "mlp-batch has the best val/accuracy, 0.5000 on average over 2 runs."


def test_the_headline_compares_with_the_baseline_at_the_same_value_of_the_other_factor(root: Path) -> None:
    for lr, none, batch in ((0.1, 0.375, 0.5), (0.2, 0.25, 0.75)):
        make_runs(root, {"none": [none, none], "batch": [batch, batch]}, config={"optimizer": {"lr": lr}})
    headline = analysed(root).headline
    assert "batch is 0.5000 above none at optimizer.lr=0.2, better in 2 of 2 seeds" in headline


def test_the_headline_does_not_call_equal_means_different(root: Path) -> None:
    make_runs(root, {"none": [0.5, 0.75], "batch": [0.75, 0.5]})
    assert analysed(root).headline == "No variant differs from its baseline in val/accuracy."


@pytest.mark.parametrize("options", [{}, {"metric": "val/loss"}, {"threshold": 0.5}])
@pytest.mark.parametrize("status", ["failed", "running", "interrupted", "diverged"])
def test_where_no_run_has_finished_the_headline_says_so(root: Path, status: Any, options: dict[str, Any]) -> None:
    for normalizer in ("none", "batch"):
        make_run(root, normalizer, status=status)
    ablation = analysed(root, **options)
    assert ablation.headline == "No run has finished yet."
    assert ablation.metrics == []
    assert [variant.name for variant in ablation.variants] == ["none", "batch"]
    told = "died" if status == "running" else status
    assert [note.partition(f": 1 {told} of 1 run;")[0] for note in ablation.notes] == ["Both variants"]


@pytest.mark.parametrize("options", [{}, {"metric": "val/loss"}, {"threshold": 0.5}])
def test_where_there_are_no_runs_the_headline_says_so(root: Path, options: dict[str, Any]) -> None:
    root.mkdir()
    ablation = analysed(root, **options)
    assert ablation.headline == "There are no runs."
    assert (ablation.variants, ablation.metrics, ablation.factors, ablation.notes) == ([], [], [], [])
    assert ablation.title == "no runs"


# Comparisons


def test_variants_are_compared_seed_by_seed(root: Path) -> None:
    theirs = [0.125, 0.375, 0.625, 0.875, 0.75]
    ours = [value + more for value, more in zip(theirs, (0.0625, 0.03125, 0.0625, 0.0625, 0.125), strict=True)]
    make_runs(root, {"none": theirs, "batch": ours})
    cell = by_name(analysed(root))["batch"].cells["val/accuracy"]
    assert cell.comparison == compare_pairs(ours, theirs, True)
    assert cell.comparison.interval.low > 0  # which is lost in the spread between seeds otherwise
    assert cell.comparison.wins == 5


def test_pairing_follows_seeds_and_leaves_out_those_that_one_side_lacks(root: Path) -> None:
    # unpaired, batch would be above none by (0.875 + 0.5 + 0.25) / 3 − 0.375 > 0; at the seeds of both it is below
    for normalizer, results in (
        ("none", {1: 0.375, 2: 0.5, 3: 0.25}),
        ("batch", {7: 0.875, 2: 0.25, 1: 0.25, 8: 0.875}),
    ):
        for seed, accuracy in results.items():
            make_run(root, normalizer, seed, accuracy=accuracy)
    ablation = analysed(root)
    variants = by_name(ablation)
    cell = variants["batch"].cells["val/accuracy"]
    assert cell.comparison == compare_pairs([0.25, 0.25], [0.375, 0.5], True)
    assert cell.comparison.difference == -0.1875
    assert [variants[name].cells["val/accuracy"].summary.mean for name in ("none", "batch")] == [0.375, 0.5625]  # type: ignore[union-attr]
    assert (
        "batch: it did not finish with the same seeds as none: they are compared over the 2 seeds they share."
        in ablation.notes
    )


def test_where_the_seeds_are_the_same_nothing_is_said_of_them(root: Path) -> None:
    make_ablation(root, seeds=3)
    assert notes_about(analysed(root), "seeds:") == []


def test_a_seed_that_failed_in_one_variant_is_left_out_of_its_comparison(root: Path) -> None:
    make_runs(root, {"none": [0.25, 0.5, 0.75], "batch": [0.5, 0.5]})
    make_run(root, "batch", 2, status="failed")
    ablation = analysed(root)
    cell = by_name(ablation)["batch"].cells["val/accuracy"]
    assert cell.comparison == compare_pairs([0.5, 0.5], [0.25, 0.5], True)
    assert len(notes_about(ablation, "over the 2 seeds they share")) == 1


def test_a_metric_that_is_not_a_number_in_a_run_is_left_out_there_alone(root: Path) -> None:
    make_runs(root, {"none": [0.25, 0.5, 0.75], "batch": [0.5, 0.5]})
    make_run(root, "batch", 2, metrics={"val/accuracy": 0.625, "val/loss": float("nan")})
    ablation = analysed(root)
    cells = by_name(ablation)["batch"].cells
    counts = {
        name: (cell.summary and cell.summary.n, cell.comparison and cell.comparison.n) for name, cell in cells.items()
    }
    assert counts == {"val/accuracy": (3, 3), "val/loss": (2, 2)}
    assert notes_about(ablation, "val/loss") == [
        "batch: val/loss is missing or not finite in 1 run, left out of that metric."
    ]


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_the_records_say_which_values_are_better_whatever_the_name(root: Path, better: str) -> None:
    for name, value in (("none", 1.0), ("batch", 2.0)):
        make_run(root, name, metrics={"val/loss": value}, metrics_info={"val/loss": {"better": better}}, curves={})
    ablation = analysed(root)
    assert ablation.rank("val/loss")[0].name == ("batch" if better == "higher" else "none")


def test_of_a_loss_less_is_better_in_a_comparison(root: Path) -> None:
    make_runs(root, {"none": [0.25, 0.375], "batch": [0.75, 0.875]})
    cells = by_name(analysed(root))["batch"].cells
    accuracy, loss = cells["val/accuracy"], cells["val/loss"]
    assert accuracy.comparison is not None
    assert loss.comparison is not None
    assert (accuracy.comparison.difference, loss.comparison.difference) == (0.5, -0.5)
    assert (accuracy.comparison.wins, loss.comparison.wins) == (2, 2)


# Baselines, factors and metrics


def test_the_baseline_comes_first_and_is_compared_with_nothing(root: Path) -> None:
    make_ablation(root, seeds=2)
    ablation = analysed(root)
    assert [(variant.name, variant.is_baseline, variant.against) for variant in ablation.variants] == [
        ("none", True, None),
        ("batch", False, "none"),
        ("tf_nn", False, "none"),
    ]
    assert all(cell.comparison is None for cell in ablation.variants[0].cells.values())
    assert ablation.factors == ["normalizer"]


def test_another_baseline_can_be_asked_for(root: Path) -> None:
    make_ablation(root, seeds=2)
    ablation = analysed(root, baseline="tf_nn")
    assert [(variant.name, variant.against) for variant in ablation.variants] == [
        ("tf_nn", None),
        ("none", "tf_nn"),
        ("batch", "tf_nn"),
    ]


def test_of_two_factors_each_variant_is_compared_at_its_own_value_of_the_other(root: Path) -> None:
    for lr in (10, 9):
        make_runs(root, {"none": [0.25, 0.5], "batch": [0.5, 0.5]}, config={"optimizer": {"lr": lr}})
    ablation = analysed(root)
    assert [(variant.name, variant.against) for variant in ablation.variants] == [
        ("normalizer=none, optimizer.lr=9", None),
        ("normalizer=none, optimizer.lr=10", None),
        ("normalizer=batch, optimizer.lr=9", "normalizer=none, optimizer.lr=9"),
        ("normalizer=batch, optimizer.lr=10", "normalizer=none, optimizer.lr=10"),
    ]
    assert [variant.is_baseline for variant in ablation.variants] == [True, True, False, False]
    assert ablation.factors == ["normalizer", "optimizer.lr"]


def test_of_two_factors_the_baseline_may_be_a_value_of_the_second(root: Path) -> None:
    for lr in (0.1, 0.2):
        make_runs(root, {"none": [0.25, 0.5], "batch": [0.5, 0.5]}, config={"optimizer": {"lr": lr}})
    against = {variant.name: variant.against for variant in analysed(root, baseline="optimizer.lr=0.2").variants}
    assert against == {
        f"normalizer={name}, optimizer.lr={lr}": None if lr == 0.2 else f"normalizer={name}, optimizer.lr=0.2"
        for name in ("none", "batch")
        for lr in (0.1, 0.2)
    }


def test_a_variant_whose_baseline_was_not_run_at_its_values_is_compared_with_nothing(root: Path) -> None:
    make_runs(root, {"none": [0.25, 0.5], "batch": [0.5, 0.5]}, config={"optimizer": {"lr": 0.1}})
    make_runs(root, {"batch": [0.75, 0.75]}, config={"optimizer": {"lr": 0.2}})
    ablation = analysed(root)
    best = by_name(ablation)["normalizer=batch, optimizer.lr=0.2"]
    assert best.against is None
    assert not best.is_baseline
    assert best.cells["val/accuracy"].comparison is None
    assert "optimizer.lr=0.2" not in ablation.headline


def test_where_the_baseline_was_not_run_another_takes_its_place_and_a_note_says_so(root: Path) -> None:
    make_runs(root, {"tf_nn": [0.5, 0.5], "batch": [0.25, 0.5]})
    ablation = analysed(root)
    assert ablation.variants[0].name == "batch"
    assert ablation.variants[1].against == "batch"
    assert "The baseline none was not run: batch is used instead." in ablation.notes


def test_the_note_names_the_baseline_of_the_experiment(root: Path) -> None:
    make_runs(root, {"tf_nn": [0.5, 0.5], "none": [0.25, 0.5]}, report={"baseline": "slim"})
    ablation = analysed(root)
    assert ablation.variants[0].name == "none"
    assert notes_about(ablation, "is used instead") == ["The baseline slim was not run: none is used instead."]


def test_one_variant_alone_wants_no_baseline(root: Path) -> None:
    make_runs(root, {"batch": [0.5, 0.75]})
    ablation = analysed(root)
    assert [(variant.name, variant.label, variant.is_baseline) for variant in ablation.variants] == [
        ("mlp-batch", {}, True)
    ]
    assert ablation.notes == []


def test_a_baseline_that_nobody_is_raises_an_error_that_lists_the_variants(root: Path) -> None:
    make_ablation(root, seeds=1)
    with pytest.raises(ValueError, match=r"no variant is 'slim': choose among none; batch; tf_nn"):
        analysed(root, baseline="slim")


def test_a_metric_that_no_run_has_raises_an_error_that_lists_the_metrics(root: Path) -> None:
    make_ablation(root, seeds=1)
    with pytest.raises(ValueError, match=r"no run has the metric 'f1': choose among val/accuracy, val/loss"):
        analysed(root, metric="f1")


def test_metrics_stand_judged_one_first_then_accuracies(root: Path) -> None:
    final = {"train/loss": 0.5, "test/accuracy": 0.5, "val/loss": 0.5, "val/accuracy": 0.5}
    make_run(root, metrics=final)
    ablation = analysed(root)
    assert (ablation.metric, ablation.metrics) == (
        "val/accuracy",
        ["val/accuracy", "test/accuracy", "train/loss", "val/loss"],
    )
    assert analysed(root, metric="val/loss").metrics == ["val/loss", "test/accuracy", "val/accuracy", "train/loss"]


@pytest.mark.parametrize(
    ("final", "judged"),
    [
        (("test/loss", "test/accuracy"), "test/accuracy"),
        (("train/loss", "train/accuracy"), "train/loss"),
        (("val/accuracy", "test/accuracy"), "val/accuracy"),
        (("f1",), "f1"),
    ],
)
def test_without_a_wish_validation_accuracy_judges_then_test_accuracy_then_what_there_is(
    root: Path, final: tuple[str, ...], judged: str
) -> None:
    make_run(root, metrics=dict.fromkeys(final, 0.5))
    assert analysed(root).metric == judged


def test_the_settings_of_the_experiment_hold_where_nothing_is_asked_for(root: Path) -> None:
    settings = {"baseline": "batch", "metric": "val/loss", "threshold": 0.25, "source": "a log"}
    make_ablation(root, seeds=2, report=settings)
    ablation = analysed(root)
    assert ablation.variants[0].name == "batch"
    assert (ablation.metric, ablation.source) == ("val/loss", "a log")
    assert [variant.cells["val/loss"].threshold for variant in ablation.variants] == [0.25] * 3
    assert [variant.cells["val/accuracy"].threshold for variant in ablation.variants] == [None] * 3
    assert ablation.title == "deep_cnn"


def test_what_is_asked_for_goes_before_the_settings_of_the_experiment(root: Path) -> None:
    make_ablation(root, seeds=2, report={"baseline": "batch", "metric": "val/loss", "threshold": 0.25})
    ablation = analysed(root, baseline="tf_nn", metric="val/accuracy", threshold=0.5)
    assert ablation.variants[0].name == "tf_nn"
    assert ablation.metric == "val/accuracy"
    assert [variant.cells["val/accuracy"].threshold for variant in ablation.variants] == [0.5] * 3


def test_settings_that_the_runs_cannot_meet_do_not_stop_the_report(root: Path) -> None:
    make_ablation(root, seeds=2, report={"baseline": "slim", "metric": "f1"})
    ablation = analysed(root)
    assert (ablation.variants[0].name, ablation.metric) == ("none", "val/accuracy")


def test_runs_without_settings_have_none(root: Path) -> None:
    make_ablation(root, seeds=1)
    ablation = analysed(root)
    assert (ablation.claims, ablation.source) == ([], "")
    cells = [variant.cells["val/accuracy"] for variant in ablation.variants]
    assert {(cell.threshold, cell.successes, cell.reach) for cell in cells} == {(None,) * 3}


# Runs that did not finish


def test_runs_are_counted_by_how_they_ended_and_only_finished_ones_make_figures(root: Path) -> None:
    make_runs(root, {"none": [0.25, 0.5]})
    statuses: tuple[Status, ...] = ("failed", "failed", "diverged", "interrupted", "running")
    for seed, status in enumerate(statuses):
        make_run(root, "none", 10 + seed, status=status, diverged_at=42 if status == "diverged" else None)
    (variant,) = analysed(root).variants
    assert variant.counts == {"finished": 2, "failed": 2, "diverged": 1, "interrupted": 1, "died": 1}
    assert [run.record.seed for run in variant.complete_runs] == [0, 1]
    assert variant.results == 3
    assert variant.cells["val/accuracy"].summary is not None
    assert variant.cells["val/accuracy"].summary.n == 2
    (note,) = notes_about(analysed(root), "of 7 runs")
    assert note.startswith("mlp-none: 2 failed, 1 diverged, 1 interrupted, 1 died of 7 runs;")
    assert "step 42 (seed 12)" in note
    assert "; the results are those of finished runs." in note


def test_figures_in_the_record_of_a_run_that_did_not_finish_count_nowhere(root: Path) -> None:
    make_runs(root, {"none": [0.25, 0.5]})
    directory = RunDirectory(make_run(root, "none", 2, status="failed"))
    record = directory.read()
    assert record is not None
    directory.write(replace(record, metrics={"val/accuracy": 1.0}))
    (variant,) = analysed(root).variants
    assert variant.values("val/accuracy") == {0: 0.25, 1: 0.5}


def test_a_variant_with_one_finished_run_says_what_that_leaves_out(root: Path) -> None:
    make_runs(root, {"none": [0.25, 0.5], "batch": [0.5]})
    assert notes_about(analysed(root), "one run finished") == [
        "batch: only one run finished, so there is no deviation and no interval."
    ]


def test_a_variant_of_which_all_runs_diverged_stands_in_the_report_without_figures(root: Path) -> None:
    make_runs(root, {"none": [0.25, 0.5]})
    make_run(root, "batch", 0, status="diverged", diverged_at=7)
    variant = by_name(analysed(root))["batch"]
    assert [(cell.summary, cell.comparison) for cell in variant.cells.values()] == [(None, None)] * 2
    assert variant.against == "none"


def test_problems_of_reading_stand_before_all_other_notes(root: Path) -> None:
    make_runs(root, {"none": [0.25]})
    (make_run(root, "batch") / "run.json").write_text("{")
    notes = analysed(root).notes
    assert notes[0].startswith("left out: ")
    assert len(notes) == 2


# Thresholds


def rising(*points: float) -> dict[str, dict[int, float]]:
    return {"val/accuracy": {10 * (place + 1): value for place, value in enumerate(points)}}


def test_a_run_succeeds_that_ends_at_or_beyond_the_threshold(root: Path) -> None:
    make_runs(root, {"none": [0.25, 0.5, 0.75]}, report={"threshold": 0.5})
    for option, threshold, successes in ((None, 0.5, 2), (0.625, 0.625, 1), (0.0, 0.0, 3)):
        (variant,) = analysed(root, threshold=option).variants
        cell = variant.cells["val/accuracy"]
        assert (cell.threshold, cell.successes, variant.results) == (threshold, successes, 3)


def test_of_a_loss_a_run_succeeds_that_ends_at_or_below_the_threshold(root: Path) -> None:
    make_runs(root, {"none": [0.25, 0.5, 0.75]})
    (variant,) = analysed(root, metric="val/loss", threshold=0.5).variants
    cell = variant.cells["val/loss"]
    assert cell.successes == 2
    assert cell.reach is not None
    # the curves of the loss are 1 at 50 updates, and end at 100
    assert (cell.reach.n, cell.reach.reached, cell.reach.median) == (3, 2, 100)
    assert variant.cells["val/accuracy"].successes is None


def test_the_median_time_to_the_threshold_is_the_first_observation_at_or_beyond_it(root: Path) -> None:
    for seed, points in enumerate(((0.1, 0.5, 0.4), (0.5, 0.6, 0.7), (0.1, 0.2, 0.9))):
        make_run(root, "none", seed, accuracy=points[-1], curves=rising(*points))
    cell = analysed(root, threshold=0.5).variants[0].cells["val/accuracy"]
    assert cell.reach is not None
    assert (cell.reach.n, cell.reach.reached, cell.reach.median) == (3, 3, 20)
    assert cell.successes == 2  # one fell below it again


def test_runs_that_never_reach_it_are_censored_and_diverged_ones_count_among_them(root: Path) -> None:
    make_run(root, "none", 0, accuracy=0.9, curves=rising(0.1, 0.9))
    make_run(root, "none", 1, accuracy=0.9, curves=rising(0.1, 0.1, 0.9))
    make_run(root, "none", 2, accuracy=0.1, curves=rising(0.1, 0.1, 0.1))
    make_run(root, "none", 3, status="diverged", diverged_at=5, curves={})
    make_run(root, "none", 4, status="failed", curves=rising(0.9))
    (variant,) = analysed(root, threshold=0.5).variants
    cell = variant.cells["val/accuracy"]
    assert (cell.successes, variant.results) == (2, 4)
    assert cell.reach is not None
    assert (cell.reach.n, cell.reach.reached, cell.reach.median) == (4, 2, 30)
    make_run(root, "none", 5, status="diverged", diverged_at=15, curves=rising(0.1))
    cell = analysed(root, threshold=0.5).variants[0].cells["val/accuracy"]
    assert cell.reach is not None
    assert (cell.reach.n, cell.reach.reached) == (5, 2)
    assert math.isnan(cell.reach.median)


def test_each_variant_has_the_threshold_of_its_own_experiment(tmp_path: Path) -> None:
    make_runs(tmp_path / "one", {"none": [0.25, 0.5]}, report={"threshold": 0.25})
    make_runs(tmp_path / "other", {"batch": [0.25, 0.5]}, report={"threshold": 0.5})
    variants = by_name(analysed(tmp_path))
    cells = {name: variant.cells["val/accuracy"] for name, variant in variants.items()}
    assert {name: (cell.threshold, cell.successes) for name, cell in cells.items()} == {
        "none": (0.25, 2),
        "batch": (0.5, 1),
    }
    assert analysed(tmp_path).title == "other, one"


# Published figures


@pytest.mark.parametrize(("figure", "verdict"), [(0.625, "reproduced"), (0.96875, "differs")])
def test_a_published_figure_is_set_against_the_runs_of_its_normalizer(root: Path, figure: float, verdict: str) -> None:
    published = {"none": {"val/accuracy": figure, "curves": {"val/accuracy": {100: figure}}}, "batch": {"f1": 0.5}}
    make_runs(root, {"none": [0.5, 0.625, 0.5625], "batch": [0.5, 0.75]}, published=published)
    variants = by_name(analysed(root))
    found = variants["none"].cells["val/accuracy"].reproduction
    assert found is not None
    assert (found.published, found.verdict) == (figure, verdict)
    assert variants["none"].cells["val/loss"].reproduction is None
    assert all(cell.reproduction is None for cell in variants["batch"].cells.values())


def test_one_run_is_not_comparable_with_a_published_figure(root: Path) -> None:
    make_run(root, "none", accuracy=0.5, published={"none": {"val/accuracy": 0.5}})
    found = analysed(root).variants[0].cells["val/accuracy"].reproduction
    assert found is not None
    assert found.verdict == "not comparable"


# Laws


def test_the_order_of_the_directories_and_seeds_changes_no_figure(tmp_path: Path) -> None:
    make_runs(tmp_path / "a", {"none": [0.25, 0.5, 0.375], "batch": [0.5, 0.75, 0.5]})
    shuffled = {0: 2, 1: 0, 2: 1}
    for normalizer, values in (("none", [0.25, 0.5, 0.375]), ("batch", [0.5, 0.75, 0.5])):
        for seed, accuracy in enumerate(values):
            make_run(tmp_path / "b", normalizer, shuffled[seed], accuracy=accuracy)
    one, other = (by_name(analysed(tmp_path / name)) for name in "ab")
    for name in one:
        assert repr(one[name].cells) == repr(other[name].cells)
    assert analysed(tmp_path / "a").headline == analysed(tmp_path / "b").headline


def test_with_the_sides_swapped_differences_change_their_sign(root: Path) -> None:
    make_ablation(root, seeds=4)
    forth = by_name(analysed(root, baseline="none"))["batch"].cells["val/accuracy"]
    back = by_name(analysed(root, baseline="batch"))["none"].cells["val/accuracy"]
    assert forth.comparison is not None
    assert back.comparison is not None
    assert forth.comparison.difference == -back.comparison.difference
    assert forth.comparison.wins == back.comparison.n - back.comparison.wins


def test_what_differs_between_the_sides_of_a_comparison_beside_the_factors_is_noted(root: Path) -> None:
    for name, torch, digest in (("none", "2.13", "a"), ("batch", "2.14", "b"), ("layer", "2.13", "a")):
        sources = {"normlab.training.module": digest, f"mine.{name}": name}
        make_run(root, name, environment={"torch": torch, "cpu": "x"}, sources=sources)
    notes = [note for note in analysed(root).notes if "not trained like" in note]
    assert notes == ["batch: it was not trained like none: they differ in torch, the code of normlab.training.module."]


def test_a_note_that_holds_for_many_variants_stands_once(root: Path) -> None:
    for number in range(24):
        make_run(root, f"n{number}")
    make_run(root, "n0", 1)
    (note,) = notes_about(analysed(root), "only one run finished")
    assert note.startswith("23 of 24 variants: ")
    for number in range(1, 24):
        make_run(root, f"n{number}", 1, status="failed")
    make_run(root, "n0", 2, status="failed")
    assert [note.partition(":")[0] for note in notes_about(analysed(root), "failed")] == ["n0", "23 of 24 variants"]
