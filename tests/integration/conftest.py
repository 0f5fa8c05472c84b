"""Runs the command in a process of its own, from an empty directory, as a user does."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def normlab(tmp_path: Path) -> Command:
    """Return a function that runs `normlab` with the given arguments in `tmp_path`."""

    def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "normlab", *arguments],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )

    return command


@pytest.fixture
def runs(tmp_path: Path) -> Callable[[str], list[Path]]:
    """Return a function that lists the run directories of an experiment under `tmp_path`, sorted by name."""
    return lambda experiment: sorted(tmp_path.glob(f"outputs/{experiment}/runs/*"))


def record_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "run.json").read_text())
    return content


def curves_of(run: Path) -> dict[str, dict[int, float]]:
    """Return name → {step: value} from a run's `metrics.csv`."""
    header, *rows = (run / "metrics.csv").read_text().splitlines()
    assert header == "step,name,value"
    curves: dict[str, dict[int, float]] = {}
    for row in rows:
        step, name, value = row.split(",")
        assert int(step) not in curves.setdefault(name, {}), f"{name} stands twice at step {step}"
        curves[name][int(step)] = float(value)
    return curves
