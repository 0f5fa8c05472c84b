"""A report is always built, replaces the one before it, and needs neither torch nor Lightning."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from normlab.report.build import build, locate_report
from normlab.runs.claims import note_budget
from normlab.runs.directory import RunDirectory

from .made_runs import make_ablation, make_run

ReportCommand = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def report(tmp_path: Path) -> ReportCommand:
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = "from normlab.commands.report import main; main()"
        return subprocess.run(
            [sys.executable, "-c", program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return command


def files(place: Path) -> set[str]:
    return {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}


def test_a_report_has_page_tables_and_figures_and_replaces_the_one_before(tmp_path: Path) -> None:
    make_ablation(tmp_path / "e", seeds=2)
    (tmp_path / "e" / "report").mkdir()
    (tmp_path / "e" / "report" / "old").touch()
    _, place = build([tmp_path / "e"])
    found = files(place)
    assert place == tmp_path / "e" / "report"
    assert {"index.html", "table.csv", "table.md", "table.tex"} <= found
    assert {"figures/curves_val_accuracy.png", "figures/curves_val_accuracy.svg", "figures/preprocessing.svg"} <= found
    assert "old" not in found
    assert sorted(path.name for path in (tmp_path / "e").iterdir()) == ["report", "runs"]
    build([tmp_path / "e"])
    assert len(files(place)) == len(found)


def test_a_report_of_a_part_of_a_directory_has_the_variants_of_that_part(report: ReportCommand, tmp_path: Path) -> None:
    for normalizer in ("none", "batch"):
        for lr in (0.1, 0.01):
            make_run(tmp_path / "e", normalizer, config={"optimizer": {"lr": lr}})
    done = report("e", "--where", "optimizer.lr=0.1", "--format", "csv")
    assert done.returncode == 0, done.stderr
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == ["variant", "none", "none", "batch", "batch"]
    one = report("e", "--where", "optimizer.lr=0.1", "--where", "normalizer=batch", "--format", "csv")
    assert one.stdout.count("\n") == 3
    before = files(tmp_path / "e" / "report")
    none = report("e", "--where", "optimizer.lr=0.3")
    assert none.returncode == 2
    assert "none of the 4 runs below e is as asked for" in none.stderr
    assert files(tmp_path / "e" / "report") == before


def test_runs_that_are_there_but_not_asked_for_are_not_called_spared(report: ReportCommand, tmp_path: Path) -> None:
    made = [make_run(tmp_path / "e", normalizer).name for normalizer in ("none", "batch")]
    note_budget(tmp_path / "e", [*made, "mlp-none-seed1-00000000"])
    one = report("e", "--where", "normalizer=batch")
    assert "2 of the 3 runs of the budget were made, 1 spared" in one.stdout


def test_a_report_over_several_directories_lies_beside_them(tmp_path: Path) -> None:
    make_run(tmp_path / "mlp", "none")
    make_run(tmp_path / "convnet", "batch", choices={"model": "convnet"}, config={"model": {"channels": [6]}})
    ablation, place = build([tmp_path / "mlp", tmp_path / "convnet"])
    assert place == tmp_path / "mlp+convnet" / "report"
    assert len(ablation.variants) == 2
    assert locate_report([tmp_path / "mlp", tmp_path / "mlp"]) == tmp_path / "mlp" / "report"


def spoil_nothing(root: Path) -> None:
    root.mkdir()


def spoil_one_run(root: Path) -> None:
    make_run(root)


def spoil_all_failed(root: Path) -> None:
    make_run(root, status="failed", error="Traceback …\nValueError: <b>bad</b>")
    make_run(root, "batch", status="failed", error="MemoryError")


def spoil_missing_seeds(root: Path) -> None:
    make_ablation(root, seeds=3)
    make_run(root, "tf_nn", 9)


def spoil_cut_record(root: Path) -> None:
    make_ablation(root, seeds=2)
    RunDirectory(make_run(root, "tf_nn", 9)).record.write_text('{"run_id": "mlp')


def spoil_older_version(root: Path) -> None:
    make_ablation(root, seeds=2)
    make_run(root, "tf_nn", 9, version=0)


def spoil_curves(root: Path) -> None:
    make_ablation(root, seeds=2)
    make_run(root, "tf_nn", 8, curves={"val/accuracy": {1: 0.1}, "val/loss": {}})
    RunDirectory(make_run(root, "tf_nn", 9)).metrics.write_text("step,name,value\n1,val/accu")


def spoil_nan(root: Path) -> None:
    make_ablation(root, seeds=2)
    make_run(root, "tf_nn", 9, metrics={"val/accuracy": float("nan"), "val/loss": float("inf")})
    make_run(root, "none", 9, status="diverged", diverged_at=3, curves={"val/loss": {1: float("inf"), 2: float("nan")}})


def spoil_names(root: Path) -> None:
    make_ablation(root, seeds=2)
    make_run(root, r"<script>alert(1)</script>\$x_1^2$ & ../../%s")


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_nothing,
        spoil_one_run,
        spoil_all_failed,
        spoil_missing_seeds,
        spoil_cut_record,
        spoil_older_version,
        spoil_curves,
        spoil_nan,
        spoil_names,
    ],
)
def test_the_report_is_built_whatever_the_runs_are_like(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(tmp_path / "e")
    ablation, place = build([tmp_path / "e"])
    page = (place / "index.html").read_text(encoding="utf-8")
    assert all(note.split("<")[0].split("'")[0][:60] in page for note in ablation.notes)
    assert "<script>alert" not in page
    assert {"table.csv", "table.md", "table.tex"} <= files(place)


def test_the_command_prints_the_table_and_one_headline(tmp_path: Path, report: ReportCommand) -> None:
    make_ablation(tmp_path / "e", seeds=2)
    told = report("e")
    assert told.returncode == 0, told.stderr
    assert "Largest effect on val/accuracy: tf_nn is " in told.stdout
    assert "Report: e/report/index.html" in told.stdout
    assert told.stderr == ""


def test_the_command_takes_another_baseline_metric_threshold_and_format(tmp_path: Path, report: ReportCommand) -> None:
    make_ablation(tmp_path / "e", seeds=2)
    told = report("e", "--baseline", "batch", "--metric", "val/loss", "--threshold", "0.05", "--format", "csv")
    assert told.returncode == 0, told.stderr
    header, first, *_ = told.stdout.splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=False))
    assert row["metric"] == "val/loss"
    assert row["threshold"] == "0.05"
    assert row["variant"] == "batch"
    assert report("e", "--format", "md").stdout.startswith("# e\n")
    assert r"\toprule" in report("e", "--format", "tex").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is not a directory: name one that normlab wrote"),
        (["e", "--baseline", "rms"], "no variant is 'rms': choose among none; batch; tf_nn"),
        (["e", "--metric", "val/f1"], "no run has the metric 'val/f1': choose among val/accuracy, val/loss"),
    ],
)
def test_a_mistake_is_told_in_one_line_and_leaves_the_old_report(
    tmp_path: Path, report: ReportCommand, arguments: list[str], message: str
) -> None:
    make_ablation(tmp_path / "e", seeds=1)
    told = report(*arguments)
    assert told.returncode == 2
    assert message in told.stderr
    assert "Traceback" not in told.stderr
    assert not (tmp_path / "e" / "report").exists()


def test_the_report_imports_neither_torch_nor_lightning() -> None:
    program = (
        "import sys, normlab.commands.report, normlab.report.build;"
        "print({'torch', 'pytorch_lightning', 'tensorflow'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"
