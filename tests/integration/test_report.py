"""Every sweep leaves a report of its variants, one that failed in part too."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

import normlab as api

from .conftest import Command

SWEEP = (
    "experiment=mlp",
    "data=digits",
    "normalizer=none,batch",
    "steps=12",
    "observe.val={first:1,every:5}",
    "observe.normalizers={first:1,every:5}",
)

RAISES = """
from torch import nn

class Raises(nn.Identity):
    updates = 0

    def forward(self, inputs):
        self.updates += self.training
        if self.updates == 2:
            raise RuntimeError("no <b>such</b> luck")
        return inputs
"""


@pytest.mark.long
def test_a_sweep_leaves_a_report_of_all_seeds_of_its_variants_and_a_notebook_gets_them_as_frames(
    normlab: Command, tmp_path: Path, runs: Callable[[str], list[Path]]
) -> None:
    trial = normlab(*SWEEP, "steps=4", "seed=0", "normalizer=none")
    assert trial.returncode == 0, trial.stderr
    (tried,) = runs("mlp")
    first = normlab(*SWEEP, "seed=0")
    assert first.returncode == 0, first.stderr
    second = normlab(*SWEEP, "seed=1", report=True)
    assert second.returncode == 0, second.stderr
    assert "Report: outputs/mlp/report/index.html" in second.stdout
    assert second.stdout.count("Largest effect on train/accuracy: ") == 1
    report = tmp_path / "outputs" / "mlp" / "report"
    with (report / "table.csv").open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file) if row["metric"] == "val/accuracy"}
    assert {name: row["n"] for name, row in rows.items()} == {"none": "2", "batch": "2"}
    figures = {path.stem for path in (report / "figures").glob("*.svg")}
    assert {"curves_val_accuracy", "final_val_accuracy", "preprocessing"} <= figures
    assert {"normalizer_inputs", "running_statistics"} <= figures
    page = (report / "index.html").read_text()
    assert "Batch normalization with unusual settings ends" in page
    swept = [run.name for run in runs("mlp") if run != tried]
    assert tried.name not in page
    assert all(name in page for name in swept)
    assert "normlab-rerun outputs/mlp/runs/" in page

    found = api.load(tmp_path / "outputs" / "mlp")
    assert found.runs.groupby("variant")["test/accuracy"].count().to_dict() == {
        "normalizer=none, steps=4": 1,
        "normalizer=none, steps=12": 2,
        "normalizer=batch, steps=12": 2,
    }
    observed = found.curves[(found.curves["name"] == "val/accuracy") & found.curves["run_id"].isin(swept)]
    assert observed.pivot_table(index="step", columns="variant", values="value").index.tolist() == [1, 6, 11, 12]


def test_a_sweep_that_failed_in_part_is_reported_with_what_failed(normlab: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(RAISES)
    (tmp_path / "conf" / "normalizer").mkdir(parents=True)
    (tmp_path / "conf" / "normalizer" / "raises.yaml").write_text("_target_: mine.Raises\n")
    done = normlab(
        "--config-dir=conf", *SWEEP, "normalizer=none,raises", "seed=0", report=True, PYTHONPATH=str(tmp_path)
    )
    assert done.returncode == 1
    assert "raises: 1 failed of 1 run" in done.stdout
    assert "1 of 2 runs did not finish" in done.stderr
    page = (tmp_path / "outputs" / "mlp" / "report" / "index.html").read_text()
    assert "such" in page
    assert "<b>such" not in page
