"""Runs the command in a process of its own, from an empty directory, as a user does."""

import atexit
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from normlab.processes.children import get_context

WITHOUT_REPORT = "hydra.sweeper.report=false"
"""What sweeps are given that are about other things: a report takes longer than most of them."""

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def normlab(tmp_path: Path) -> Command:
    """Return a function that runs `normlab` with arguments in `tmp_path`; sweeps report where that is asked for."""

    def command(*arguments: str, report: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
        # Hydra takes overrides in one place alone, before its options or behind them.
        first = next((place for place, each in enumerate(arguments) if not each.startswith("-") and "=" in each), None)
        overrides = [] if report or first is None else [WITHOUT_REPORT]
        return run_command("run", tmp_path, *arguments[:first], *overrides, *arguments[first:], **environment)

    return command


def run_command(name: str, place: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `main` of a module of `normlab.commands` in a directory, and return its exit status and what it printed.

    Its process is a fork of one that has imported torch, because the import takes longer than most tests. If the
    environment has a variable for Python itself, such as `PYTHONPROFILEIMPORTTIME`, Python starts anew.
    """
    if any(name.startswith("PYTHON") and name != "PYTHONPATH" for name in environment):
        return subprocess.run(
            [sys.executable, "-c", f"from normlab.commands.{name} import main; main()", *arguments],
            cwd=place,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
    with tempfile.TemporaryDirectory() as directory:
        outputs = [Path(directory) / name for name in ("stdout", "stderr")]
        context: Any = get_context()
        everything = {**os.environ, **environment}
        process = context.Process(target=_run_main, args=(name, place, arguments, everything, outputs))
        process.start()
        process.join()
        stdout, stderr = (output.read_text(encoding="utf-8") for output in outputs)
    return subprocess.CompletedProcess(arguments, process.exitcode, stdout, stderr)


def _run_main(
    name: str, place: Path, arguments: tuple[str, ...], environment: dict[str, str], outputs: list[Path]
) -> None:
    for number, output in enumerate(outputs, start=1):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(place)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # it was found with the environment before
    sys.path[:0] = [str(place), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = ["normlab", *arguments]
    try:
        importlib.import_module(f"normlab.commands.{name}").main()
    finally:
        # As at the end of an ordinary process. One of multiprocessing leaves out the second, and joblib waits minutes
        # for its workers if the first comes later.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()


@pytest.fixture
def runs(tmp_path: Path) -> Callable[[str], list[Path]]:
    """Return a function that lists the run directories of an experiment under `tmp_path`, sorted by name."""
    return lambda experiment: sorted(tmp_path.glob(f"outputs/{experiment}/runs/*"))


OFTEN = """
import normlab.training.checkpoints as checkpoints

class Often:
    metrics = {}

    def __init__(self):
        checkpoints.SHORTEST_INTERVAL_SECONDS = 0.0
        checkpoints.SHARE_OF_TIME = 1.0

    def measure(self, state):
        return {}
"""
"""A measurement that has a checkpoint kept after every chunk, so that many a kill, or a full disk, falls into one."""

# Breaks its process once, at its fourth update, unless the file that it leaves behind is there already.
DEADLY = """
import os, pathlib, signal
from torch import nn

class DiesOnce(nn.Identity):
    updates = 0

    def forward(self, inputs):
        self.updates += self.training
        left_behind = pathlib.Path("died")
        if self.updates == 4 and not left_behind.exists():
            left_behind.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return inputs
"""


@pytest.fixture
def deadly_sweep(tmp_path: Path) -> tuple[str, ...]:
    """The arguments of a sweep of two runs in `tmp_path`, one of which kills its process the first time."""
    (tmp_path / "deadly.py").write_text(DEADLY)
    (tmp_path / "mine" / "normalizer").mkdir(parents=True)
    (tmp_path / "mine" / "normalizer" / "dies_once.yaml").write_text("_target_: deadly.DiesOnce\n")
    return ("--config-dir=mine", "experiment=demo", "normalizer=dies_once,none", "seed=0", "steps=8")


LISTING_IMPORTS = {"PYTHONPROFILEIMPORTTIME": "1"}
"""Environment in which Python lists on standard error what it imports."""


def imported(listed: str) -> set[str]:
    """Return the modules in such a list."""
    return {line.rpartition("|")[2].strip() for line in listed.splitlines() if line.startswith("import time:")}


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


def wait_for(condition: Callable[[], object], seconds: float = 300) -> None:
    """Return once the condition is true; an AssertionError if it does not come true in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def processes_in(place: Path) -> list[int]:
    """Return the processes that work in a directory; those that test runs leave are found by it."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").resolve() == place:
                found.append(int(entry.name))
        except OSError:  # ended meanwhile, or another user's
            continue
    return found
