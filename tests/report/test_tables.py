"""The tables: every digit for machines, the same numbers printed for people, whatever variants are called."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from normlab.report.analysis import Options, analyse
from normlab.report.latex import escape_latex, write_latex
from normlab.report.load import load
from normlab.report.markdown import write_markdown
from normlab.report.tables import format_effects, tabulate

from .made_runs import make_ablation, make_run

ODD = r"a|b<i>&%$#_{}~^\"[x]"


def test_the_tidy_table_has_a_row_per_variant_and_metric_with_every_digit(tmp_path: Path) -> None:
    make_run(tmp_path / "e", "none", 0, accuracy=1 / 3)
    make_run(tmp_path / "e", "none", 1, accuracy=2 / 3)
    make_run(tmp_path / "e", "batch", 0, accuracy=5 / 7)
    table = tabulate(analyse(load(tmp_path / "e")))
    rows: Any = {(row["variant"], row["metric"]): row for row in table.to_dict("records")}
    assert set(rows) == {(name, f"val/{kind}") for name in ("none", "batch") for kind in ("accuracy", "loss")}
    assert rows[("none", "val/accuracy")]["mean"] == np.mean([1 / 3, 2 / 3])
    assert rows[("none", "val/accuracy")]["standard_deviation"] == pytest.approx(np.std([1 / 3, 2 / 3], ddof=1))
    assert rows[("batch", "val/accuracy")]["difference"] == 5 / 7 - 1 / 3
    assert list(table)[:6] == ["variant", "normalizer", "metric", "n", "mean", "low"]
    assert [rows["batch", "val/accuracy"][key] for key in ("n", "runs", "runs_failed")] == [1, 1, 0]
    assert rows[("batch", "val/accuracy")]["baseline"] == "none"


def test_the_table_that_is_written_reads_back_to_the_same_numbers(tmp_path: Path) -> None:
    make_ablation(tmp_path / "e")
    table = tabulate(analyse(load(tmp_path / "e")))
    table.to_csv(tmp_path / "table.csv", index=False)
    again = pd.read_csv(tmp_path / "table.csv", converters={"mean": float})
    assert again["mean"].tolist() == table["mean"].tolist()


def test_markdown_marks_the_best_and_says_what_its_numbers_are(tmp_path: Path) -> None:
    make_ablation(tmp_path / "e", published={"batch": {"val/accuracy": 0.94}})
    text = write_markdown(analyse(load(tmp_path / "e")))
    (best,) = [line for line in text.splitlines() if line.startswith("| tf\\_nn | 5 | **0.9")]
    assert "0.9400, reproduced" in text
    caption = text.splitlines()[-1]
    assert "Ordinary 95 % interval of the mean (Student's t)" in caption
    assert "Difference from the baseline, paired by seed" in caption
    assert best.count("|") == 9


def test_a_caption_explains_only_the_columns_that_are_there(tmp_path: Path) -> None:
    make_run(tmp_path / "e")
    text = write_markdown(analyse(load(tmp_path / "e")))
    assert "| n | mean ± sd |" in text
    assert not any(word in text for word in ("95 %", "baseline", "published", "threshold"))


def test_a_difference_has_its_interval_and_the_seeds_in_which_the_variant_is_better(tmp_path: Path) -> None:
    make_ablation(tmp_path / "e", seeds=10)
    rows = [line for line in write_markdown(analyse(load(tmp_path / "e"))).splitlines() if line.startswith("| batch")]
    assert len(rows) == 2
    assert all("10 of 10" in row for row in rows)


def test_two_factors_make_a_two_way_table(tmp_path: Path) -> None:
    for lr in (0.01, 0.1, 1.0):
        for normalizer in ("none", "batch"):
            if (lr, normalizer) != (1.0, "batch"):
                make_run(tmp_path / "e", normalizer, accuracy=lr / 2, config={"optimizer": {"lr": lr}})
    ablation = analyse(load(tmp_path / "e"))
    assert "| normalizer / optimizer.lr | 0.01 | 0.1 | 1 |" in write_markdown(ablation)
    assert "| batch | 0.0050 | 0.0500 | – |" in write_markdown(ablation)
    assert "normalizer / optimizer.lr & 0.01 & 0.1 & 1 " in write_latex(ablation)


def test_every_factor_has_a_column_and_values_that_repeat_are_left_out(tmp_path: Path) -> None:
    for normalizer in ("none", "batch"):
        for lr in (0.1, 1.0):
            for width in (4, 8):
                config = {"optimizer": {"lr": lr}, "model": {"width": width}}
                make_run(tmp_path / "e", normalizer, accuracy=lr / 2, config=config)
    ablation = analyse(load(tmp_path / "e"))
    text = write_markdown(ablation)
    assert "| normalizer | optimizer.lr | model.width | n | mean ± sd |" in text
    rows = text.partition("| normalizer | optimizer.lr |")[2].splitlines()[2:10]
    assert [[cell.strip() for cell in row.split("|")[1:4]] for row in rows] == [
        ["none", "0.1", "4"],
        ["", "", "8"],
        ["", "1", "4"],
        ["", "", "8"],
        ["batch", "0.1", "4"],
        ["", "", "8"],
        ["", "1", "4"],
        ["", "", "8"],
    ]


def test_the_effect_of_a_factor_is_averaged_over_combinations_that_all_its_values_have(tmp_path: Path) -> None:
    accuracies = {("none", 0.1): 0.2, ("none", 1.0): 0.4, ("batch", 0.1): 0.5, ("batch", 1.0): 0.9, ("tf_nn", 0.1): 0.6}
    for (normalizer, lr), accuracy in accuracies.items():
        make_run(tmp_path / "e", normalizer, accuracy=accuracy, config={"optimizer": {"lr": lr}})
    effects = format_effects(analyse(load(tmp_path / "e")))
    assert effects is not None
    _, rows = effects
    assert ["", "tf_nn", "0.6000", "+0.4000", "1"] in rows  # at 0.1 alone
    assert ["", "1", "0.6500", "+0.3000", "2"] in rows  # without tf_nn


def test_every_table_names_precision_device_and_threads(tmp_path: Path) -> None:
    for lr in (0.1, 1.0):
        for normalizer in ("none", "batch"):
            make_run(tmp_path / "e", normalizer, config={"optimizer": {"lr": lr}}, precision="bf16-mixed")
    ablation = analyse(load(tmp_path / "e"))
    assert "Precision: bf16-mixed; device: cpu; threads: 1." in write_markdown(ablation)
    tables = write_latex(ablation).split(r"\end{table}")[:-1]
    assert len(tables) == 3
    assert all("Precision: bf16-mixed; device: cpu; threads: 1." in table for table in tables)
    assert {*tabulate(ablation)[["precision", "device", "threads"]].itertuples(index=False)} == {
        ("bf16-mixed", "cpu", "1")
    }


def test_where_runs_differ_in_precision_every_table_tells_which_has_which(tmp_path: Path) -> None:
    for precision in ("32-true", "bf16-mixed"):
        make_run(tmp_path / "e", "batch", 0, precision=precision)
        make_run(tmp_path / "e", "batch", 1, precision=precision)
    ablation = analyse(load(tmp_path / "e"), Options(baseline="accelerator.precision=32-true"))
    assert [variant.name.partition("=")[2] for variant in ablation.variants] == ["32-true", "bf16-mixed"]
    assert "Precision: 32-true (2), bf16-mixed (2); device: cpu; threads: 1." in write_markdown(ablation)
    for row in tabulate(ablation).to_dict("records"):
        assert row["variant"] == f"accelerator.precision={row['precision']}"


def test_runs_of_which_nothing_is_recorded_have_no_precision_to_name(tmp_path: Path) -> None:
    make_run(tmp_path / "e", environment={})
    assert "Precision: not recorded; device: not recorded" in write_markdown(analyse(load(tmp_path / "e")))


def test_no_runs_make_tables_that_say_so(tmp_path: Path) -> None:
    ablation = analyse(load(tmp_path))
    assert "There are no runs." in write_markdown(ablation)
    assert "There are no runs." in write_latex(ablation)
    assert tabulate(ablation).empty


def test_names_cannot_break_a_markdown_table(tmp_path: Path) -> None:
    make_run(tmp_path / "e", ODD)
    make_run(tmp_path / "e", "none")
    (row, _) = [line for line in write_markdown(analyse(load(tmp_path / "e"))).splitlines() if line.startswith("| a")][
        :2
    ]
    assert "&lt;i&gt;" in row
    assert row.replace("\\|", "").count("|") == 6


def test_special_letters_are_printed_by_latex() -> None:
    assert escape_latex("50% of tf_nn & $x^2$") == r"50\% of tf\_nn \& \$x\textasciicircum{}2\$"
    assert escape_latex("two\nlines, 數") == "two lines, ?"


def compiled(table: str, place: Path) -> str:
    """Return what LaTeX says of a paper that takes the table in."""
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    (place / "table.tex").write_text(table, encoding="utf-8")
    preamble = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs}"
    (place / "paper.tex").write_text(preamble + r"\begin{document}\input{table}\end{document}")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=place,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-1500:]
    return done.stdout


@pytest.mark.parametrize("rates", [(0.1,), (0.1, 1.0)])
def test_latex_compiles_whatever_variants_are_called(tmp_path: Path, rates: tuple[float, ...]) -> None:
    for normalizer in ("none", ODD, "Müller–數"):
        for seed in range(2):
            for lr in rates:
                make_run(tmp_path / "e_1", normalizer, seed, accuracy=seed / 3, config={"optimizer": {"lr": lr}})
    assert "Output written on paper.pdf (1 page" in compiled(write_latex(analyse(load(tmp_path / "e_1"))), tmp_path)


def test_the_latex_table_fits_the_width_of_a_page(tmp_path: Path) -> None:
    make_ablation(tmp_path / "e", seeds=10, published={"batch": {"val/accuracy": 0.94, "val/loss": 0.2}})
    assert "Overfull" not in compiled(write_latex(analyse(load(tmp_path / "e"))), tmp_path)


def test_of_many_variants_the_baseline_and_the_best_are_shown(tmp_path: Path) -> None:
    for number in range(100):
        make_run(tmp_path / "e", f"n{number:02}", accuracy=number / 100)
    make_run(tmp_path / "e", "none", accuracy=0.001)
    ablation = analyse(load(tmp_path / "e"))
    assert [variant.name for variant in ablation.select_variants(4)] == ["none", "n97", "n98", "n99"]
    assert [variant.name for variant in ablation.rank("val/loss")[:2]] == ["n99", "n98"]
    assert "of 101 variants: baselines and the best" in write_latex(ablation)
