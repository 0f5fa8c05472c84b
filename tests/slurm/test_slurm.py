"""Sweeps over a real Slurm of two nodes: jobs that fail, die, are cancelled or queued again, and drivers that do.

`pytest -m long` runs them (about 5 minutes); they need `slurm-wlm` and `munge`, and start a cluster of their own.
"""

import getpass
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import WITHOUT_REPORT, record_of, wait_for

from .cluster import missing_commands, slurm

pytestmark = pytest.mark.long

SWEEP = ("experiment=demo", "normalizer=none,tf_nn", "seed=0,1", "steps=20", "observe.train_batch.every=5")
LONG_RUN = ("experiment=demo", "normalizer=tf_nn", "seed=0", "steps=300", "observe.train_batch.every=5")

USERS_NORMALIZERS = """
import os, pathlib, signal
from torch import nn

class Raises(nn.Identity):
    updates = 0

    def forward(self, inputs):
        self.updates += self.training
        if self.updates == 2 and not pathlib.Path("mended").exists():
            raise RuntimeError("this layer breaks")
        return inputs

class Dies(nn.Identity):
    def forward(self, inputs):
        if not pathlib.Path("mended").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return inputs
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    if missing_commands():
        pytest.skip(f"no Slurm here: {', '.join(missing_commands())} missing (apt install slurm-wlm munge)")
    with slurm(tmp_path_factory.mktemp("slurm") / "cluster") as environment:
        yield environment


class Place:
    """An empty directory with a cluster, and the command `normlab` in it."""

    def __init__(self, path: Path, environment: dict[str, str]) -> None:
        self.path = path
        self.environment = {**environment, "PYTHONPATH": str(path)}

    def start(self, *arguments: str, launcher: str = "submitit_slurm") -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "normlab", *arguments, WITHOUT_REPORT, f"hydra/launcher={launcher}"],
            cwd=self.path,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def normlab(self, *arguments: str, launcher: str = "submitit_slurm") -> tuple[int, str]:
        """Return the exit status and all that was printed."""
        process = self.start(*arguments, launcher=launcher)
        told, _ = process.communicate(timeout=300)
        return process.returncode, told

    def ask(self, *command: str) -> list[str]:
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True
        ).stdout.splitlines()

    @property
    def jobs(self) -> list[str]:
        return self.ask("squeue", "--noheader", "--array", "--format=%i")

    @property
    def runs(self) -> list[Path]:
        return sorted(self.path.glob("outputs/demo/runs/*"))

    @property
    def bytes(self) -> dict[str, bytes]:
        return {run.name: (run / "metrics.csv").read_bytes() for run in self.runs}

    def wait_until_training(self) -> None:
        """Return once a run has a checkpoint."""
        wait_for(lambda: any((run / "checkpoints" / "last.ckpt").exists() for run in self.runs))


@pytest.fixture
def place(tmp_path: Path, cluster: dict[str, str]) -> Iterator[Place]:
    here = Place(tmp_path, cluster)
    yield here
    here.ask("scancel", f"--user={getpass.getuser()}")
    wait_for(lambda: not here.jobs)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cluster: dict[str, str]) -> dict[str, bytes]:
    """The metrics of the sweep and of the long run, made on this machine without Slurm."""
    here = Place(tmp_path_factory.mktemp("undisturbed"), cluster)
    for arguments in (SWEEP, LONG_RUN):
        status, told = here.normlab(*arguments, launcher="basic")
        assert status == 0, told
    return here.bytes


def test_an_array_larger_than_the_cluster_gives_the_bytes_of_the_basic_launcher(
    place: Place, undisturbed: dict[str, bytes]
) -> None:
    status, told = place.normlab(*SWEEP)
    assert status == 0, told
    assert "Submitted 4 jobs" in told
    assert "4 done, 0 running, 0 failed, 0 skipped of 4 runs" in told
    assert len(place.bytes) == 4
    assert place.bytes.items() <= undisturbed.items()


def test_jobs_that_raise_or_die_cost_their_own_runs_and_the_same_command_retries_just_those(place: Place) -> None:
    (place.path / "mine.py").write_text(USERS_NORMALIZERS)
    (place.path / "conf" / "normalizer").mkdir(parents=True)
    for name in ("Raises", "Dies"):
        (place.path / "conf" / "normalizer" / f"{name.lower()}.yaml").write_text(f"_target_: mine.{name}\n")
    command = ("--config-dir=conf", "experiment=demo", "normalizer=raises,dies,none", "seed=0", "steps=5")
    status, told = place.normlab(*command)
    assert status == 1
    assert "2 of 3 runs did not finish; run the same command again to resume them:" in told
    assert "failed, RuntimeError: this layer breaks" in told
    assert "ended without a result; its output is in" in told
    assert "Traceback" not in told
    (place.path / "mended").touch()
    status, told = place.normlab(*command)
    assert status == 0, told
    assert "Submitted 2 jobs" in told
    assert {record_of(run)["status"] for run in place.runs} == {"finished"}


def test_a_job_cancelled_by_scancel_writes_a_checkpoint_from_which_the_same_command_goes_on(
    place: Place, undisturbed: dict[str, bytes]
) -> None:
    driver = place.start(*LONG_RUN)
    place.wait_until_training()
    place.ask("scancel", *place.jobs)
    told, _ = driver.communicate(timeout=300)
    assert driver.returncode == 1
    assert "interrupted" in told
    (run,) = place.runs
    assert record_of(run)["status"] == "interrupted"
    status, told = place.normlab(*LONG_RUN)
    assert status == 0, told
    assert place.bytes.items() <= undisturbed.items()


@pytest.mark.parametrize("how", ["requeued by an administrator", "near its time limit"])
def test_a_job_that_is_queued_again_goes_on_to_the_same_bytes_while_its_driver_waits(
    place: Place, undisturbed: dict[str, bytes], how: str
) -> None:
    driver = place.start(*LONG_RUN, "force=true")
    place.wait_until_training()
    (job,) = place.jobs
    if how == "near its time limit":
        place.ask("scancel", "--signal=USR2", job)  # what Slurm sends `signal_delay_s` before the limit
    else:
        place.ask("scontrol", "requeue", job)
    told, _ = driver.communicate(timeout=240)
    assert driver.returncode == 0, told
    (run,) = place.runs
    assert "resumes after step" in (run / "run.log").read_text()
    assert place.bytes.items() <= undisturbed.items()


def test_a_driver_that_was_killed_comes_back_to_its_jobs_instead_of_submitting_them_again(
    place: Place, undisturbed: dict[str, bytes]
) -> None:
    first = place.start(*SWEEP, "steps=100")
    place.wait_until_training()
    first.kill()
    first.communicate()
    waiting = place.ask("squeue", "--noheader", "--array", "--states=PENDING", "--format=%i")
    assert waiting
    status, told = place.normlab(*SWEEP, "steps=100")
    assert status == 0, told
    assert "Submitted" not in told
    for job in waiting:
        assert f"already has job {job}" in told
    assert {record_of(run)["status"] for run in place.runs} == {"finished"}


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_driver_takes_its_jobs_with_it(place: Place, number: signal.Signals, expected: int) -> None:
    driver = place.start(*SWEEP, "steps=3000")
    place.wait_until_training()
    driver.send_signal(number)
    told, _ = driver.communicate(timeout=300)
    assert driver.returncode == expected, told
    wait_for(lambda: not place.jobs)
    assert {record_of(run)["status"] for run in place.runs} == {"interrupted"}


def test_jobs_that_slurm_refuses_end_in_its_message(place: Place) -> None:
    status, told = place.normlab("experiment=demo", "steps=2", "+hydra.launcher.partition=nowhere")
    assert status == 1
    assert "the jobs are refused: sbatch: error: invalid partition specified: nowhere" in told
    assert not place.runs


def test_a_sweep_may_start_within_a_slurm_job(place: Place) -> None:
    sweep = "experiment=demo normalizer=none seed=0 steps=4 hydra/launcher=submitit_slurm"
    script = place.path / "driver.sh"
    script.write_text(f"#!/bin/bash\nexec {sys.executable} -m normlab {sweep} {WITHOUT_REPORT}\n")
    place.ask("sbatch", "--wait", "--mem-per-cpu=500", f"--chdir={place.path}", "--output=driver.txt", str(script))
    assert [record_of(run)["status"] for run in place.runs] == ["finished"], (place.path / "driver.txt").read_text()


def test_a_folder_of_jobs_that_slurm_would_rename_is_refused(place: Place) -> None:
    status, told = place.normlab("experiment=demo", "steps=2", "output_root=%j")
    assert status == 1
    assert "contains %, which Slurm replaces: choose another folder" in told
    assert not place.runs


def test_one_run_over_two_nodes_gives_the_bytes_of_two_processes_on_one(place: Place) -> None:
    run = ("experiment=demo", "normalizer=none,tf_nn", "seed=0", "steps=20", "accelerator=ddp")
    status, told = place.normlab(*run, launcher="basic")
    assert status == 0, told
    alone = place.bytes
    over_nodes = ("force=true", "hydra.launcher.nodes=2")
    place.environment["MASTER_ADDR"] = "127.0.0.1"  # both nodes are this machine
    status, told = place.normlab(*run, *over_nodes)
    assert status == 0, told
    for path in place.runs:
        if not path.name.endswith(".old1"):
            assert (path / "metrics.csv").read_bytes() == alone[path.name]
            assert set(record_of(path)["statistics_batch"].values()) <= {64}
            assert record_of(path)["environment"]["processes"] == 2
