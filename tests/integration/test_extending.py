"""The package of `docs/extending.md`, installed from outside: one file for each extension, none of ours changed."""

import csv
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Command, curves_of, record_of, wait_for

DOCS = Path(__file__).parents[2] / "docs"
PACKAGE = DOCS / "extending"

# Holds its process after step 20, with a checkpoint of step 10 written, unless the file that it writes is there.
HOLDS = """
import os, pathlib, time
from normlab.training import checkpoints

checkpoints.SHORTEST_INTERVAL_SECONDS = 0.0

class Holds:
    metrics = {}

    def measure(self, state):
        held = pathlib.Path("held")
        if state.step == 20 and not held.exists():
            pathlib.Path("new").write_text(str(os.getpid()))
            pathlib.Path("new").rename(held)
            while True:
                time.sleep(1)
        return {}
"""
SWEEP = (
    "experiment=reading",
    "hydra.searchpath=[pkg://reading.conf]",
    "hydra/launcher=population",
    "hydra.launcher.workers=1",
    "normalizer=scale_norm",
    "steps=30",
    *(f"observe.{name}.{key}=10" for name in ("val", "gradient", "normalizers") for key in ("first", "every")),
    "+observe.holds={_target_: holds.Holds, first: 10, every: 10}",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the package into a directory of its own."""
    place = tmp_path_factory.mktemp("site")
    command = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    subprocess.run([*command, "--target", str(place), str(PACKAGE)], check=True)
    return place


@pytest.mark.long
def test_it_trains_in_one_sweep_in_populations_is_killed_and_resumed_and_reported(
    tmp_path: Path, site: Path, normlab: Command
) -> None:
    (tmp_path / "holds.py").write_text(HOLDS)
    path = {"PYTHONPATH": os.pathsep.join([str(site), str(tmp_path)])}
    driver = subprocess.Popen(
        [sys.executable, "-m", "normlab", *SWEEP],
        cwd=tmp_path,
        env={**os.environ, **path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for((tmp_path / "held").exists)
    driver.kill()
    os.kill(int((tmp_path / "held").read_text()), signal.SIGKILL)
    driver.wait()

    finished = normlab(*SWEEP, report=True, **path)
    assert finished.returncode == 0, finished.stderr
    resumed = {run.name: run for run in tmp_path.glob("outputs/reading/runs/*")}
    logs = [(run / "run.log").read_text() for run in resumed.values()]
    assert sum("resumes after step 10" in log for log in logs) == 2
    records = [record_of(run) for run in resumed.values()]
    assert {(record["status"], record["environment"]["trained_together"]) for record in records} == {("finished", 2)}
    assert {record["choices"]["model"] for record in records} == {"row_lstm", "pair_model"}

    assert normlab(*SWEEP, "output_root=whole", **path).returncode == 0
    whole = {run.name: curves_of(run) for run in tmp_path.glob("whole/reading/runs/*")}
    assert whole == {name: curves_of(run) for name, run in resumed.items()}
    for record in records:
        curve = whole[record["run_id"]]["gradient/norm"]
        assert list(curve) == [10, 20, 30]
        assert record["metrics"]["gradient/norm"] == curve[30]

    report = tmp_path / "outputs" / "reading" / "report"
    with (report / "table.csv").open(newline="") as file:
        assert "gradient/norm" in {row["metric"] for row in csv.DictReader(file)}
    assert {"curves_gradient_norm.png", "gradient_norm.png"} <= {figure.name for figure in report.glob("figures/*")}


def test_the_layers_of_its_own_network_are_replaced(tmp_path: Path, site: Path, normlab: Command) -> None:
    network = ("model=imported", "model.network._target_=reading.small_net.SmallNet", "normalizer=batch")
    finished = normlab("data=digits", *network, "steps=2", PYTHONPATH=str(site))
    assert finished.returncode == 0, finished.stderr
    [run] = tmp_path.glob("outputs/single/runs/*")
    assert "2 × BatchNorm2d → BatchNorm" in (run / "run.log").read_text()
    replaced = record_of(run)["replaced"]
    assert replaced == {f"network.features.{place}": "BatchNorm2d → BatchNorm" for place in (1, 4)}


def test_the_documentation_shows_its_files_as_they_are() -> None:
    shown = re.findall(r"^`([\w/.]+)`:\n\n```\w*\n(.*?)^```$", (DOCS / "extending.md").read_text(), re.M | re.S)
    files = {
        str(file.relative_to(PACKAGE)): file.read_text()
        for file in PACKAGE.rglob("*.*")
        if file.suffix in (".py", ".yaml", ".toml") and file.name != "__init__.py"
    }
    assert dict(shown) == files
