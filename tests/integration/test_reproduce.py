"""The command `normlab-reproduce`, on data that need no download."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ..choices import choices_of
from .conftest import processes_in, record_of, wait_for

REPRODUCE = (sys.executable, "-c", "from normlab.commands.reproduce import main; main()")


def reproduce(place: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*REPRODUCE, *arguments], cwd=place, capture_output=True, text=True, timeout=1800, check=False
    )


def test_a_dry_run_says_what_is_missing_and_starts_nothing(tmp_path: Path) -> None:
    done = reproduce(tmp_path, "--dry-run", "demo", "seed=0,1")
    assert done.returncode == 0, done.stderr
    assert "demo: 4 of 4 runs are missing: about " in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_experiment_and_a_wrong_override_end_in_one_message(tmp_path: Path) -> None:
    unknown = reproduce(tmp_path, "demmo")
    assert unknown.returncode == 2
    assert "demmo is no experiment with claims: choose among convnet, deep_cnn, demo" in unknown.stderr
    mistaken = reproduce(tmp_path, "demo", "sedd=0")
    assert mistaken.returncode == 1
    assert "Could not override 'sedd'" in mistaken.stderr
    assert "Traceback" not in mistaken.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.skipif(torch.cuda.is_available(), reason="what is asked for is there")
def test_a_mistake_that_all_experiments_would_repeat_is_told_once(tmp_path: Path) -> None:
    done = reproduce(tmp_path, "demo", "mlp", "data=digits", "accelerator=gpu")
    assert done.returncode == 1
    assert done.stderr.count("torch finds no CUDA GPU here") == 1
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_all_claims_are_in_one_table_and_a_second_command_runs_nothing_again(tmp_path: Path) -> None:
    asked = ("demo", "batch_size=16", "steps=2", "model.depth=2")
    done = reproduce(tmp_path, *asked)
    assert done.returncode == 0, done.stderr
    assert "Page: outputs/reproduction.html" in done.stdout
    page = (tmp_path / "outputs" / "reproduction.html").read_text()
    assert '<a href="demo/report/index.html">demo</a>' in page
    assert "With normalization the deep network ends" in page
    assert (tmp_path / "outputs" / "demo" / "report" / "index.html").is_file()
    table = (tmp_path / "outputs" / "reproduction.md").read_text()
    assert table.count("\n") == 3
    assert "| 12 of 12 |" in table

    again = reproduce(tmp_path, *asked)
    assert again.returncode == 0, again.stderr
    assert "demo: all 12 runs are there" in again.stdout
    assert "12 skipped of 12 runs" in again.stdout


@pytest.mark.long
@pytest.mark.parametrize("as_a_terminal_does", [True, False])
def test_a_signal_stops_the_sweep_in_good_order_and_the_table_is_written(
    tmp_path: Path, as_a_terminal_does: bool
) -> None:
    asked = ("demo", "mlp", "data=digits", "normalizer=none", "seed=0", "steps=1000000")
    process = subprocess.Popen(
        [*REPRODUCE, *asked],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for(lambda: any(tmp_path.glob("outputs/*/runs/*/run.json")))
        if as_a_terminal_does:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 130, printed
    assert "Traceback" not in printed
    (run,) = tmp_path.glob("outputs/*/runs/*")  # the other experiment was not started
    assert record_of(run)["status"] == "interrupted"
    assert "| 0 of 1 |" in (tmp_path / "outputs" / "reproduction.md").read_text()
    wait_for(lambda: not processes_in(tmp_path))


@pytest.mark.long
def test_every_shipped_experiment_is_reproduced_by_one_command(tmp_path: Path) -> None:
    done = reproduce(tmp_path, "data=digits", "batch_size=16", "steps=2")
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / "outputs" / "reproduction.md").read_text().splitlines()
    for experiment in choices_of("experiment"):
        assert (tmp_path / "outputs" / experiment / "report" / "index.html").is_file()
        runs = len([*tmp_path.glob(f"outputs/{experiment}/runs/*")])
        assert runs >= 12
        assert any(f"| [{experiment}]({experiment}/" in row and f"| {runs} of {runs} |" in row for row in rows)
