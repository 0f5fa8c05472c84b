"""The same sweep under every launcher for one machine: the same bytes, deaths told, and nothing left running."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import WITHOUT_REPORT, Command, processes_in, record_of, run_command, wait_for

SWEEP = ("experiment=demo", "normalizer=none,tf_layers", "seed=0", "observe.train_batch.every=5")


def bytes_of(place: Path) -> dict[str, bytes]:
    return {run.name: (run / "metrics.csv").read_bytes() for run in place.glob("outputs/demo/runs/*")}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    place = tmp_path_factory.mktemp("basic")
    assert run_command("run", place, *SWEEP, WITHOUT_REPORT, "steps=20", "hydra/launcher=basic").returncode == 0
    return bytes_of(place)


@pytest.mark.long
@pytest.mark.parametrize("launcher", ["processes", "joblib"])
def test_a_sweep_gives_the_bytes_that_the_basic_launcher_gives(
    normlab: Command, tmp_path: Path, reference: dict[str, bytes], launcher: str
) -> None:
    finished = normlab(*SWEEP, "steps=20", f"hydra/launcher={launcher}")
    assert finished.returncode == 0, finished.stderr
    assert len(reference) == 2
    assert bytes_of(tmp_path) == reference
    assert "2 done, 0 running, 0 failed, 0 skipped of 2 runs; 40 of 40 steps" in finished.stdout


@pytest.mark.long
def test_a_run_that_dies_is_told_and_the_same_command_makes_up_for_it(
    normlab: Command, deadly_sweep: tuple[str, ...], runs: Callable[[str], list[Path]]
) -> None:
    first = normlab(*deadly_sweep, "hydra/launcher=joblib")
    assert first.returncode == 1
    assert "its process died" in first.stderr
    assert "Traceback" not in first.stderr
    second = normlab(*deadly_sweep, "hydra/launcher=joblib")
    assert second.returncode == 0, second.stderr
    assert {record_of(run)["status"] for run in runs("demo")} == {"finished"}


@pytest.mark.long
@pytest.mark.parametrize(
    ("launcher", "number", "status"), [("joblib", signal.SIGTERM, 143), ("processes", signal.SIGINT, 130)]
)
def test_a_stopped_sweep_leaves_no_process_and_its_runs_go_on_when_asked_for(
    tmp_path: Path, runs: Callable[[str], list[Path]], launcher: str, number: signal.Signals, status: int
) -> None:
    command = [sys.executable, "-m", "normlab", *SWEEP, WITHOUT_REPORT, "steps=3000", f"hydra/launcher={launcher}"]
    driver = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        wait_for(lambda: any((run / "checkpoints" / "last.ckpt").exists() for run in runs("demo")))
        if number is signal.SIGINT:
            os.killpg(driver.pid, number)  # as a terminal does
        else:
            driver.send_signal(number)
        told, _ = driver.communicate(timeout=300)
    finally:
        driver.kill()
    assert driver.returncode == status, told
    assert "Traceback" not in told
    wait_for(lambda: not processes_in(tmp_path))
    begun = {record_of(run)["status"] for run in runs("demo")}
    # joblib leaves its workers no time to write a checkpoint; their runs go on from the one before.
    assert begun == {"interrupted"} or (launcher == "joblib" and begun <= {"interrupted", "running"}), told
