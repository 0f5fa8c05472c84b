"""Worker processes: outcomes in order, and a death that costs one job alone."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from normlab.sweeps.workers import run_in_processes


def work(job: Any) -> Any:
    if job == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "leaves":
        os._exit(3)
    if job == "raises":
        raise ValueError("no such thing")
    return job, os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_outcomes_come_back_in_the_order_of_the_jobs(workers: int) -> None:
    outcomes = run_in_processes(work, ["a", "b", "c", "d"], workers)
    assert [outcome.value[0] for outcome in outcomes] == ["a", "b", "c", "d"]
    assert len({outcome.value[1] for outcome in outcomes}) <= workers


def test_a_job_that_ends_its_process_costs_itself_alone() -> None:
    outcomes = run_in_processes(work, ["a", "dies", "b", "leaves", "raises", "c"], workers=2)
    assert [outcome.value and outcome.value[0] for outcome in outcomes] == ["a", None, "b", None, None, "c"]
    assert str(outcomes[1].error).endswith("ended by signal SIGKILL")
    assert str(outcomes[3].error).endswith("ended with status 3")
    assert outcomes[4].error == "no such thing"


def test_each_worker_has_its_own_environment_and_so_has_the_one_that_takes_the_place_of_one_that_died(
    tmp_path: Path,
) -> None:
    places = [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    jobs = [(tmp_path / "a", tmp_path / "b"), (tmp_path / "b", tmp_path / "a"), None]
    jobs += [(tmp_path / "c", tmp_path / "d"), (tmp_path / "d", tmp_path / "c")]
    outcomes = run_in_processes(meet, jobs, 2, places)
    assert {outcome.value for outcome in outcomes[:2]} == {"0", "1"}
    assert outcomes[2].value is None
    assert {outcome.value for outcome in outcomes[3:]} == {"0", "1"}


def meet(files: tuple[Path, Path] | None) -> str:
    """Wait until another worker does its job too, and return the GPU of this one; without files, die."""
    if files is None:
        work("dies")
    else:
        mine, others = files
        mine.touch()
        while not others.exists():
            time.sleep(0.01)
    return os.environ["CUDA_VISIBLE_DEVICES"]
