"""Worker processes: outcomes in order, and a death that costs one job alone."""

import os
import signal
import time
from typing import Any

import pytest

from normlab.processes import run_in_processes


def work(number: int, job: Any) -> Any:
    if job == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "leaves":
        os._exit(3)
    if job == "raises":
        raise ValueError("no such thing")
    if job == "sleeps":
        time.sleep(0.3)
    return number, job, os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_outcomes_come_back_in_the_order_of_the_jobs(workers: int) -> None:
    outcomes = run_in_processes(work, ["sleeps", "a", "b", "c"], workers)
    assert [outcome.value[:2] for outcome in outcomes] == [(0, "sleeps"), (1, "a"), (2, "b"), (3, "c")]
    assert len({outcome.value[2] for outcome in outcomes}) == workers


def test_a_job_that_ends_its_process_costs_itself_alone() -> None:
    outcomes = run_in_processes(work, ["a", "dies", "b", "leaves", "raises", "c"], workers=2)
    assert [outcome.value and outcome.value[1] for outcome in outcomes] == ["a", None, "b", None, None, "c"]
    assert str(outcomes[1].error).endswith("ended by signal SIGKILL")
    assert str(outcomes[3].error).endswith("ended with status 3")
    assert outcomes[4].error == "no such thing"
