"""One writer per run: who holds it is seen, and who died is noticed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from normlab.runs import ownership as module
from normlab.runs.ownership import OwnedElsewhereError, find_owner, own
from normlab.runs.steps import FILE, StepCounter, Steps, read_steps

OWNER = """
import sys, time
from pathlib import Path
from normlab.runs.ownership import own
with own(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def another_owner(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_process_is_told_who_owns_the_run(tmp_path: Path, another_owner: "subprocess.Popen[str]") -> None:
    with pytest.raises(OwnedElsewhereError, match=f"is being trained by process {another_owner.pid} on host "):
        own(tmp_path).__enter__()
    assert f"process {another_owner.pid} " in str(find_owner(tmp_path))


def test_an_owner_killed_on_this_host_is_noticed_at_once(
    tmp_path: Path, another_owner: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    another_owner.send_signal(signal.SIGKILL)
    another_owner.wait()
    monkeypatch.setattr(module, "SILENCE_SECONDS", 100.0)
    start = time.monotonic()
    assert find_owner(tmp_path) is None
    with own(tmp_path):
        assert time.monotonic() - start < 100


def test_a_run_is_free_again_when_its_owner_leaves(tmp_path: Path) -> None:
    for _ in range(2):
        with own(tmp_path):
            assert (tmp_path / "owner.json").exists()
        assert not (tmp_path / "owner.json").exists()
    assert find_owner(tmp_path) is None


@pytest.fixture
def owner_on_another_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An owner's file as another host left it, whose lock does not reach this one."""
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.1)
    owner = tmp_path / "owner.json"
    owner.write_text(json.dumps({"host": "elsewhere", "process": 7}))
    return owner


def test_an_owner_on_another_host_lives_as_long_as_its_heartbeat_moves(
    tmp_path: Path, owner_on_another_host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENCE_SECONDS", 100.0)
    stop = threading.Event()
    beat = threading.Thread(target=module._beat, args=(owner_on_another_host, StepCounter(tmp_path), stop))
    beat.start()
    try:
        with pytest.raises(OwnedElsewhereError, match="process 7 on host elsewhere"):
            own(tmp_path).__enter__()
    finally:
        stop.set()
        beat.join()


def test_an_owner_on_another_host_that_fell_silent_is_dead_whatever_its_clock_said(
    tmp_path: Path, owner_on_another_host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENCE_SECONDS", 1.0)
    in_the_future = time.time() + 3600
    os.utime(owner_on_another_host, (in_the_future, in_the_future))
    with own(tmp_path):
        assert json.loads(owner_on_another_host.read_text())["host"] != "elsewhere"


class TwoBeats(threading.Event):
    """Ends a heartbeat after its second beat."""

    beats = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.beats += 1
        return self.beats > 2


def test_each_beat_notes_the_steps_made_and_their_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moments, made = iter([100.0, 105.0, 110.0]), iter([50, 70, 90])
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))
    (tmp_path / "owner.json").touch()
    steps = StepCounter(tmp_path)
    steps.start(lambda: next(made))
    module._beat(tmp_path / "owner.json", steps, TwoBeats())
    assert read_steps(tmp_path) == Steps(made=90, first=50, seconds_per_step=0.25)


def test_an_owner_removes_what_one_that_was_killed_has_noted_and_what_it_notes_itself(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"made": 70}')
    (tmp_path / "metrics.csv").write_text("step,name,value\n60,loss,0.5\n")
    with own(tmp_path) as steps:
        assert read_steps(tmp_path) == Steps(60)
        steps.start(lambda: 80)
        steps.note()
        assert read_steps(tmp_path).made == 80
    assert read_steps(tmp_path) == Steps(60)
