"""What the terminal shows after a sweep: one table, the headline, and where to look on."""

import io
from pathlib import Path

from normlab.report.analysis import analyse
from normlab.report.load import load
from normlab.report.terminal import print_report
from normlab.runs.claims import note_claims

from .made_runs import make_run


def printed(place: Path) -> str:
    out = io.StringIO()
    print_report(analyse(load(place)), place / "report", out)
    return out.getvalue()


def test_the_table_has_mean_deviation_difference_and_published_figure(tmp_path: Path) -> None:
    published = {"none": {"val/accuracy": 0.75}}
    for seed, accuracy in enumerate((0.5, 0.7)):
        make_run(tmp_path / "e", "none", seed, accuracy=accuracy, published=published)
        make_run(tmp_path / "e", "batch", seed, accuracy=accuracy + 0.1 + seed / 100, published=published)
    text = printed(tmp_path / "e")
    assert "0.6000 ± 0.1414" in text
    assert "+0.1050 │" in text
    assert "0.7500" in text
    assert "Largest effect on val/accuracy: batch is " in text
    assert f"tensorboard --logdir {tmp_path / 'e'}" in text
    assert f"Report: {tmp_path / 'e' / 'report' / 'index.html'}" in text


def test_the_table_names_precision_device_and_threads(tmp_path: Path) -> None:
    make_run(tmp_path / "e", environment={"precision": "16-mixed", "device": "H100 [/0]", "threads": 1})
    assert "Precision: 16-mixed; device: H100 [/0]; threads: 1." in " ".join(printed(tmp_path / "e").split())


def test_one_seed_has_no_deviation(tmp_path: Path) -> None:
    make_run(tmp_path / "e")
    assert "±" not in printed(tmp_path / "e").splitlines()[4]


def test_runs_that_did_not_finish_are_counted(tmp_path: Path) -> None:
    make_run(tmp_path / "e", "none", 0)
    make_run(tmp_path / "e", "none", 1, status="diverged", diverged_at=7)
    text = printed(tmp_path / "e")
    assert "1 of 2" in text
    assert "The loss was not finite at step 7 (seed 1)." in text


def test_of_many_variants_the_baseline_and_the_best_are_shown(tmp_path: Path) -> None:
    for number in range(30):
        make_run(tmp_path / "e", f"n{number:02}", accuracy=number / 100)
    text = printed(tmp_path / "e")
    assert "12 of 30 variants" in " ".join(text.split())
    assert "n29" in text
    assert "n05 " not in text
    assert "All 30 variants: only one run finished" in text


def test_a_table_of_many_factors_fits_a_hundred_columns_and_its_means_are_whole(tmp_path: Path) -> None:
    for number in range(20):
        config = {"model": {"activation": f"f{number % 2}", "depth": number % 3}, "initializer": {"std": number % 5}}
        for seed in range(3):
            normalizer = ("none", "batch_norm_1d")[number % 2]
            make_run(tmp_path / "e", normalizer, seed, accuracy=(number + seed) / 40, config=config)
    text = printed(tmp_path / "e")
    assert max(len(line) for line in text.partition("mean ±")[0].splitlines()) <= 100
    assert "0.5000 ± 0.0250" in text
    assert "│ batch_norm_1d │" in text


def test_markup_in_names_is_printed_as_it_is(tmp_path: Path) -> None:
    make_run(tmp_path / "e", "[red]x[/red]")
    make_run(tmp_path / "e", "none")
    assert "[red]x[/red]" in printed(tmp_path / "e")


def test_names_too_long_for_the_terminal_leave_out_all_that_is_not_needed(tmp_path: Path) -> None:
    for number in range(2):
        config = {"model": {"note": f"{number}" * 50}}
        metrics = {"val/accuracy": 0.5, "test/accuracy": 0.5}
        for normalizer in ("none", "b" * 60):
            make_run(tmp_path / "e", normalizer, metrics=metrics, config=config)
    text = printed(tmp_path / "e")
    assert "accuracy" in text
    assert "0.5000" in text
    assert "seeds" not in text.partition("mean ±")[0]


def test_a_claim_about_no_variant_in_particular_that_was_not_run_is_printed(tmp_path: Path) -> None:
    make_run(tmp_path / "e")
    note_claims(tmp_path / "e", {"it": {"says": "It holds.", "where": {"normalizer": "layer"}, "above": 0.5}})
    assert "it: It holds." in printed(tmp_path / "e")


def test_intervals_of_claims_stay_in_one_line_of_a_hundred_columns(tmp_path: Path) -> None:
    for normalizer, accuracy in (("none", 0.5), ("batch_norm_1d", 0.51)):
        for seed in range(6):
            make_run(tmp_path / "e", normalizer, seed, accuracy=accuracy - seed % 2 / 100)
    says = "Batch normalization with unusual settings ends with the same training accuracy as no normalization."
    claim = {"says": says, "of": "batch_norm_1d", "like": "none", "within": 0.005}
    note_claims(tmp_path / "e", {"same_end": claim})
    lines = printed(tmp_path / "e").partition("mean ±")[0].splitlines()
    assert max(map(len, lines)) <= 100
    assert any("0.0100 [0.0100, 0.0100]" in line for line in lines)


def test_a_claim_about_many_variants_has_one_line_with_their_verdicts(tmp_path: Path) -> None:
    for name, accuracy in (("none", 0.2), ("a", 0.5), ("b", 0.6), ("c", 0.7), ("d", 0.8), ("e", 0.9)):
        for seed in range(6):
            make_run(tmp_path / "e", name, seed, accuracy=accuracy + seed % 2 / 100)
    note_claims(tmp_path / "e", {"it": {"says": "They help.", "over": "none", "by": 0.45}})
    (line,) = [line for line in printed(tmp_path / "e").splitlines() if "5 variants" in line]
    assert "0.3000 to 0.7000" in line
    assert "refuted (2), supported (3)" in line


def test_a_factor_may_be_called_like_a_column(tmp_path: Path) -> None:
    for n in (1, 2):
        make_run(tmp_path / "e", config={"model": {"n": n}})
    assert "┃ n ┃" in printed(tmp_path / "e")
