"""`hydra/launcher=population` as a user calls it: what it says, what it leaves, and how it goes on after a death."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Command, curves_of, record_of, wait_for

SWEEP = ("experiment=mlp", "data=digits", "hydra/launcher=population")

NOISY = """
from torch import nn

class Noisy(nn.Dropout):
    def __init__(self, num_features):
        super().__init__(0.5)
"""


@pytest.mark.long
def test_seeds_train_together_and_a_normalizer_that_draws_is_named_and_trained_alone(
    tmp_path: Path, normlab: Command, runs: Callable[[str], list[Path]]
) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)
    (tmp_path / "mine" / "normalizer").mkdir(parents=True)
    (tmp_path / "mine" / "normalizer" / "noisy.yaml").write_text("_target_: noisy.Noisy\n")
    sweep = ("--config-dir=mine", *SWEEP, "normalizer=batch,noisy", "seed=0,1", "steps=20", "hydra.launcher.workers=1")
    told = normlab(*sweep, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    assert told.returncode == 0, told.stderr
    found = {run.name.rpartition("-")[0]: record_of(run) for run in runs("mlp")}
    assert {name: record["status"] for name, record in found.items()} == dict.fromkeys(
        ["mlp-batch-seed0", "mlp-batch-seed1", "mlp-noisy-seed0", "mlp-noisy-seed1"], "finished"
    )
    together = {name: record["environment"].get("trained_together") for name, record in found.items()}
    assert together == {
        "mlp-batch-seed0": 2,
        "mlp-batch-seed1": 2,
        "mlp-noisy-seed0": None,
        "mlp-noisy-seed1": None,
    }
    lines = [line for line in told.stdout.splitlines() if "are trained one after another" in line]
    assert len(lines) == 1
    assert "mlp-noisy-seed0" in lines[0]
    assert "random" in lines[0]


def test_a_size_of_nothing_is_refused(normlab: Command, runs: Callable[[str], list[Path]]) -> None:
    told = normlab(*SWEEP, "hydra.launcher.size=0")
    assert told.returncode == 1
    assert "hydra.launcher.size=0 is out of range: choose at least 1" in told.stderr
    assert "Traceback" not in told.stderr
    assert runs("mlp") == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("workers", "way"),
    [(1, signal.SIGKILL), (1, signal.SIGTERM), (2, signal.SIGKILL), (2, signal.SIGINT)],
    ids=lambda value: str(getattr(value, "name", value)),
)
def test_a_population_that_is_killed_or_stopped_goes_on_to_the_same_end(
    tmp_path: Path, normlab: Command, runs: Callable[[str], list[Path]], workers: int, way: signal.Signals
) -> None:
    sweep = (*SWEEP, "normalizer=batch", "seed=0,1,2,3", "steps=8000", f"hydra.launcher.workers={workers}")
    command = [sys.executable, "-m", "normlab", *sweep, "hydra.sweeper.report=false"]
    driver = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: len([*tmp_path.rglob("last.ckpt")]) == 4)
    os.kill(driver.pid, way)
    driver.communicate(timeout=300)
    assert driver.returncode == (-9 if way is signal.SIGKILL else 128 + way)
    wait_for(lambda: not [*tmp_path.rglob("owner.json")] or way is signal.SIGKILL)
    assert normlab(*sweep).returncode == 0
    stopped = {run.name: curves_of(run) for run in runs("mlp")}
    logs = [(run / "run.log").read_text() for run in runs("mlp")]
    assert all("resumes after step" in log for log in logs)

    assert normlab(*sweep, "output_root=whole").returncode == 0
    whole = {run.name: curves_of(run) for run in sorted(tmp_path.glob("whole/mlp/runs/*"))}
    assert stopped == whole
