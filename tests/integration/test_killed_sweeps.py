"""Sweeps killed by SIGKILL at random moments, driver or worker, end complete and with the bytes of one left alone.

`make long` kills one of them; `pytest -m killed` 29 more (about 30 minutes on two cores).
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from normlab.runs.ownership import find_owner

from .conftest import OFTEN, WITHOUT_REPORT, record_of

COMMAND = [
    sys.executable,
    "-m",
    "normlab",
    WITHOUT_REPORT,
    "experiment=demo",
    "normalizer=none,tf_nn",
    "seed=0,1",
    "steps=40",
    "observe.train_batch.every=2",
    "+observe.often={_target_: often.Often, first: 1000, every: 1000}",
]


def start(place: Path) -> "subprocess.Popen[bytes]":
    (place / "often.py").write_text(OFTEN)
    environment = {**os.environ, "PYTHONPATH": str(place)}
    return subprocess.Popen(COMMAND, cwd=place, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("undisturbed")
    assert start(place).wait(timeout=300) == 0
    return place


def workers_of(place: Path) -> list[int]:
    """Return the processes that own runs now."""
    told = [find_owner(run) for run in place.glob("outputs/demo/runs/*")]
    return [int(owner.split("process ")[1].split()[0]) for owner in told if owner and "process ?" not in owner]


@pytest.mark.parametrize(
    "chance",
    [
        pytest.param(0, marks=pytest.mark.long),
        *(pytest.param(n, marks=pytest.mark.killed) for n in range(1, 30)),
    ],
)
def test_a_sweep_killed_at_random_moments_ends_complete_and_the_same(
    tmp_path: Path, undisturbed: Path, chance: int
) -> None:
    draw = random.Random(chance)
    for _ in range(draw.choice([1, 2])):
        driver = start(tmp_path)
        time.sleep(draw.uniform(6, 16))
        workers = workers_of(tmp_path)
        victim = draw.choice([driver.pid, *workers])
        if driver.poll() is None:
            os.kill(victim, signal.SIGKILL)
        driver.wait(timeout=300)
        end = time.monotonic() + 300
        while workers_of(tmp_path):  # the workers of a killed driver end their step first
            assert time.monotonic() < end, "a worker outlived its driver"
            time.sleep(0.1)
    assert start(tmp_path).wait(timeout=300) == 0
    references = sorted(undisturbed.glob("outputs/demo/runs/*"))
    found = sorted(tmp_path.glob("outputs/demo/runs/*"))
    assert [run.name for run in found] == [run.name for run in references]
    for run, reference in zip(found, references, strict=True):
        assert (run / "metrics.csv").read_bytes() == (reference / "metrics.csv").read_bytes()
        assert record_of(run)["metrics"] == record_of(reference)["metrics"]
        assert record_of(run)["status"] == "finished"
