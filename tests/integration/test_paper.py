"""The command `normlab-paper`, on data that need no download."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from normlab.commands.paper import ON_CPUS

PAPER = (sys.executable, "-c", "from normlab.commands.paper import main; main()")


def paper(place: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*PAPER, *arguments], cwd=place, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="what is asked for is there")
def test_a_mistake_that_all_experiments_would_repeat_is_told_once(tmp_path: Path) -> None:
    told = paper(tmp_path, "data=digits", "accelerator=gpu")
    assert told.returncode == 1
    assert told.stderr.count("torch finds no CUDA GPU here") == 1
    assert "Traceback" not in told.stderr
    assert "mlp" not in told.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_all_tables_come_from_one_command_and_a_second_one_makes_nothing_anew(tmp_path: Path) -> None:
    told = paper(tmp_path, "data=digits", "batch_size=16", "steps=2")
    assert told.returncode == 0, told.stderr
    tables, _, times = told.stdout.partition("== Where the time went")
    for experiment in ON_CPUS:
        assert f"Report: outputs/{experiment}/report/index.html" in tables
        assert (tmp_path / "outputs" / experiment / "report" / "index.html").is_file()
        assert f"{experiment}: " in times
    assert len([*tmp_path.glob("outputs/*/runs/*")]) == 18 + 12 + 12 + 72

    again = paper(tmp_path, "data=digits", "batch_size=16", "steps=2")
    assert again.returncode == 0, again.stderr
    assert "72 skipped of 72 runs" in again.stdout
