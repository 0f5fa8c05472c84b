"""Runs of several processes from the command line: killed, stopped, started from outside, and in a sweep."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from normlab.config.compose import compose
from normlab.errors import ConfigurationError
from normlab.runs.record import Record
from normlab.training.run import RunFailedError, train

from .conftest import Command, processes_in, record_of, wait_for
from .test_resume import HOLD, HOLDS, start_and_hold

Runs = Callable[[str], list[Path]]

RUN = (
    "data=digits",
    "accelerator=ddp",
    "normalizer=batch",
    "steps=150",
    "observe.val.first=10",
    "observe.val.every=10",
)
HELD = (*RUN, HOLD)
"""The same run, which can be held after a step: nothing depends on how fast the machine is."""
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc"),
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The metrics.csv of the run made in one go."""
    place = tmp_path_factory.mktemp("undisturbed")
    assert asked_for_again(place).status == "finished"
    return next(place.glob("outputs/single/runs/*/metrics.csv")).read_bytes()


def asked_for_again(place: Path) -> Record:
    """Make what is left of the run, in this process and one that it starts."""
    return train(compose(*RUN, f"output_root={place / 'outputs'}"))


def follower_of(starter: int, place: Path) -> int:
    """Return the process that was started by the first one of a run: it alone leads a session of its own."""
    return max(pid for pid in processes_in(place) if pid != starter and os.getsid(pid) == pid)


def assert_resumes_to_the_end(normlab: Command, place: Path, step: int, undisturbed: bytes) -> None:
    (place / "go").touch()
    finished = normlab(*HELD)
    assert finished.returncode == 0, finished.stderr
    assert f"resumes after step {step}" in finished.stdout
    (run,) = place.glob("outputs/single/runs/*")
    assert record_of(run)["status"] == "finished"
    assert (run / "metrics.csv").read_bytes() == undisturbed


@pytest.fixture(autouse=True)
def holds(tmp_path: Path) -> None:
    (tmp_path / "holds.py").write_text(HOLDS)


@pytest.fixture(autouse=True)
def _none_left_by_a_test_that_failed(tmp_path: Path) -> Iterator[None]:
    yield
    for pid in processes_in(tmp_path):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_run_whose_first_process_is_killed_leaves_none_behind_and_goes_on_to_the_same_bytes(
    normlab: Command, runs: Runs, tmp_path: Path, undisturbed: bytes
) -> None:
    process = start_and_hold(tmp_path, 50, *HELD)
    process.kill()
    process.wait()
    wait_for(lambda: not processes_in(tmp_path))
    (run,) = runs("single")
    assert record_of(run)["status"] == "running"
    assert_resumes_to_the_end(normlab, tmp_path, 45, undisturbed)  # held before the checkpoint after step 50


def test_a_run_another_process_of_which_is_killed_fails_at_once_by_its_name_and_goes_on_to_the_same_bytes(
    normlab: Command, runs: Runs, tmp_path: Path, undisturbed: bytes
) -> None:
    process = start_and_hold(tmp_path, 50, *HELD)
    follower = follower_of(process.pid, tmp_path)
    os.kill(follower, signal.SIGKILL)
    (tmp_path / "go").touch()
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert f"process 1 of 2, {follower} ended by signal SIGKILL" in told
    (run,) = runs("single")
    assert record_of(run)["status"] == "failed"
    assert not processes_in(tmp_path)
    assert_resumes_to_the_end(normlab, tmp_path, 50, undisturbed)


def test_a_signal_ends_all_processes_after_the_same_update(
    normlab: Command, runs: Runs, tmp_path: Path, undisturbed: bytes
) -> None:
    process = start_and_hold(tmp_path, 50, *HELD)
    process.send_signal(signal.SIGINT)
    (tmp_path / "go").touch()
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 130, told
    assert "interrupted; run the same command again to resume from its checkpoint" in told
    assert "Traceback" not in told
    wait_for(lambda: not processes_in(tmp_path))
    (run,) = runs("single")
    assert record_of(run)["status"] == "interrupted"
    assert_resumes_to_the_end(normlab, tmp_path, 51, undisturbed)


def launched(tmp_path: Path, *arguments: str) -> "list[subprocess.Popen[str]]":
    """Start two processes as a cluster's launcher does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    slurm = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "batch", "SLURM_NTASKS": "2", "SLURM_NODELIST": "here"}
    return [
        subprocess.Popen(
            [sys.executable, "-m", "normlab", *arguments],
            cwd=tmp_path,
            env={**os.environ, **place, **slurm, "RANK": str(rank), "SLURM_PROCID": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]


def ended(processes: "list[subprocess.Popen[str]]", timeout: float = 300) -> list[tuple[int, str, str]]:
    """Return exit status, output and errors of each."""
    told = [process.communicate(timeout=timeout) for process in processes]
    return [(process.returncode, *texts) for process, texts in zip(processes, told, strict=True)]


def test_processes_that_a_launcher_started_make_the_run_together_and_only_the_first_writes(
    runs: Runs, tmp_path: Path, undisturbed: bytes
) -> None:
    first, second = ended(launched(tmp_path, *RUN))
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert first[2] == second[2] == ""
    assert "test/accuracy" in first[1]
    assert second[1].splitlines() == [f"{runs('single')[0].name}: process 1 of 2"]
    assert len(list(runs("single")[0].glob("events*"))) == 1
    assert (runs("single")[0] / "metrics.csv").read_bytes() == undisturbed

    again = ended(launched(tmp_path, *RUN))
    assert [status for status, _, _ in again] == [0, 0]
    assert "is already finished" in again[0][1]
    assert again[1][1] == ""


@pytest.mark.parametrize(("killed", "told"), [(0, "process 0 of 2 is gone"), (1, "one of the 2 processes is gone")])
def test_of_processes_that_a_launcher_started_none_waits_for_one_that_was_killed(
    runs: Runs, tmp_path: Path, killed: int, told: str
) -> None:
    processes = launched(tmp_path, *RUN, "steps=100000")
    wait_for(lambda: any("\n10," in table.read_text() for table in tmp_path.glob("outputs/single/runs/*/metrics.csv")))
    processes[killed].kill()
    processes[killed].communicate()
    ((status, _, errors),) = ended([processes[1 - killed]])
    assert status == 1
    assert told in errors
    assert record_of(*runs("single"))["status"] == ("running" if killed == 0 else "failed")


def test_where_a_launcher_started_another_number_of_processes_it_is_told_what_to_set(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "3"), ("MASTER_ADDR", "localhost"), ("MASTER_PORT", "1")):
        monkeypatch.setenv(name, value)
    with pytest.raises(
        ConfigurationError, match=r"WORLD_SIZE=3 .* accelerator.processes=2: .* accelerator.processes=3"
    ):
        asked_for_again(tmp_path)
    assert runs("single") == []


def test_a_sweep_runs_fewer_at_once_where_a_run_has_several_processes(normlab: Command, runs: Runs) -> None:
    sweep = ("experiment=demo", "accelerator=ddp", "model.depth=3", "steps=6", "seed=0")
    finished = normlab(*sweep)
    assert finished.returncode == 0, finished.stderr
    assert f"At most {max(1, len(os.sched_getaffinity(0)) // 2)} at once" in finished.stdout
    assert [record_of(run)["status"] for run in runs("demo")] == ["finished", "finished"]


USERS_LAYER = """
import torch
from torch import nn


class Averages(nn.BatchNorm1d):
    def forward(self, x):
        if self.training and torch.distributed.get_rank() == 1 and self.num_batches_tracked == 3:
            raise ValueError("this part is bad")
        return super().forward(x)
"""


def test_a_users_own_normalizer_is_warned_of_and_what_it_raises_in_another_process_is_told(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of_a_user.py").write_text(USERS_LAYER)
    monkeypatch.syspath_prepend(tmp_path)
    run = compose(*RUN, f"output_root={tmp_path / 'outputs'}")
    with pytest.raises(RunFailedError, match="process 1 of 2 failed"):
        train(replace(run, settings={**run.settings, "normalizer": {"_target_": "of_a_user.Averages"}}))
    (directory,) = runs("single")
    record = record_of(directory)
    assert record["status"] == "failed"
    assert record["statistics_batch"] == {"hidden.0": 32}
    assert record["error"].strip().endswith("ValueError: this part is bad")
    warning = "Averages takes its statistics from its process's part, 32 examples of a batch"
    assert (directory / "run.log").read_text().count(warning) == 1
