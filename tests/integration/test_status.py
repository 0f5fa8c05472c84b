"""`normlab-status` tells the state of runs from their records alone."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from normlab.config.compose import compose
from normlab.runs.steps import FILE, Steps

from .conftest import Command


def status(place: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    program = "from normlab.commands.status import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=place, capture_output=True, text=True, check=False
    )


@pytest.mark.long
def test_it_counts_runs_by_status_and_names_those_that_are_not_finished(normlab: Command, tmp_path: Path) -> None:
    normlab("experiment=demo", "normalizer=none", "seed=0,1,2", "steps=4")
    first, second, _ = sorted(tmp_path.glob("outputs/demo/runs/*"))
    for run, changes in ((first, {"status": "running"}), (second, {"status": "diverged", "diverged_at": 3})):
        record = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps(record | changes))
    told = status(tmp_path, "outputs")
    assert told.returncode == 1
    assert "1 finished, 1 diverged, 1 died; 12 of 12 steps" in told.stdout
    assert first.name in told.stdout
    assert "4 of 4" in told.stdout
    assert "the loss of step 3 is not finite" in told.stdout


def test_of_a_run_in_progress_it_tells_the_steps_and_the_time_left(tmp_path: Path) -> None:
    run = compose("data=digits", "steps=12000", f"output_root={tmp_path}")
    with run.own():
        run.directory.write(run.new_record())
        (run.directory.path / FILE).write_text(json.dumps(asdict(Steps(3_400, first=0, seconds_per_step=0.02))))
        told = status(tmp_path, ".")
    assert told.returncode == 0
    assert "1 running; 3,400 of 12,000 steps, about 3 min left" in told.stdout


def test_what_looks_like_markup_in_an_error_is_printed_as_it_is(normlab: Command, tmp_path: Path) -> None:
    normlab("data=digits", "steps=1")
    (file,) = tmp_path.glob("outputs/single/runs/*/run.json")
    record = json.loads(file.read_text()) | {"status": "failed", "error": "OSError: no [/path/x] in [bold]"}
    file.write_text(json.dumps(record))
    told = status(tmp_path, "outputs")
    assert "OSError: no [/path/x] in [bold]" in told.stdout


def test_a_place_without_runs_is_told(tmp_path: Path) -> None:
    told = status(tmp_path, "outputs")
    assert told.returncode == 1
    assert told.stderr.startswith("there are no runs below")


def test_it_imports_no_torch() -> None:
    program = "import sys, normlab.commands.status; print({'torch', 'pytorch_lightning', 'hydra'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"
