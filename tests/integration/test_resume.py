"""Runs and sweeps that are stopped, killed or disturbed end with the bytes of those that were left alone."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from normlab import compose

from .conftest import WITHOUT_REPORT, Command, record_of, run_command, wait_for

Runs = Callable[[str], list[Path]]

# Holds a run after the step that the file `hold_at` names, until there is a file `go`; says so by a file `held`.
# Checkpoints are kept after every chunk of steps, which no user needs.
HOLDS = """
import pathlib, time
from normlab.training import checkpoints

checkpoints.SHORTEST_INTERVAL_SECONDS, checkpoints.SHARE_OF_TIME = 0.0, 1e9

class Holds:
    metrics = {}

    def measure(self, state):
        place = pathlib.Path("hold_at")
        if place.exists() and int(place.read_text()) == state.step:
            pathlib.Path(f"held{time.monotonic_ns()}").touch()
            while not pathlib.Path("go").exists():
                time.sleep(0.05)
        return {}
"""
HOLD = "+observe.hold={_target_: holds.Holds, first: 5, every: 5}"
RANDOM = ("augmentation=crop_flip", "sampler=by_class")
RUN = (
    "experiment=demo",
    "hydra.mode=RUN",
    "normalizer=tf_nn",
    "steps=90",
    "observe.train_batch.every=5",
    HOLD,
    *RANDOM,
)
AVERAGED = (
    *RUN,
    "+callbacks.ema._target_=pytorch_lightning.callbacks.EMAWeightAveraging",
    "+callbacks.ema.decay=0.9",
)
SWEEP = ("experiment=demo", "normalizer=none,tf_layers", "seed=0,1", "steps=40", "observe.train_batch.every=5", HOLD)


@pytest.fixture(autouse=True)
def holds(tmp_path: Path) -> None:
    (tmp_path / "holds.py").write_text(HOLDS)


def start_and_hold(place: Path, step: int, *arguments: str, processes: int = 1) -> "subprocess.Popen[str]":
    """Start the command, and return once so many runs are held after a step."""
    for file in place.glob("held*"):
        file.unlink()
    (place / "hold_at").write_text(str(step))
    process = started(place, *arguments)
    wait_for(lambda: len(list(place.glob("held*"))) == processes)
    return process


def started(tmp_path: Path, *arguments: str) -> "subprocess.Popen[str]":
    program = "from normlab.commands.run import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of the run and of the sweep, each made in one go."""
    place = tmp_path_factory.mktemp("undisturbed")
    (place / "holds.py").write_text(HOLDS)
    for arguments in (RUN, AVERAGED, SWEEP):
        assert run_command("run", place, WITHOUT_REPORT, *arguments).returncode == 0
    return place


def assert_as_undisturbed(run: Path, undisturbed: Path) -> None:
    reference = undisturbed / "outputs" / "demo" / "runs" / run.name
    assert record_of(run)["status"] == "finished"
    assert (run / "metrics.csv").read_bytes() == (reference / "metrics.csv").read_bytes()
    assert record_of(run)["metrics"] == record_of(reference)["metrics"]


@pytest.mark.long
def test_a_run_killed_again_and_again_ends_as_if_it_had_never_stopped(
    normlab: Command, runs: Runs, tmp_path: Path, undisturbed: Path
) -> None:
    for step in (20, 65):
        process = start_and_hold(tmp_path, step, *RUN)
        process.kill()
        process.wait()
    (tmp_path / "go").touch()
    finished = normlab(*RUN)
    assert finished.returncode == 0, finished.stderr
    assert "resumes after step 61" in finished.stdout  # held at 65, in the chunk after it
    assert_as_undisturbed(runs("demo")[0], undisturbed)


@pytest.mark.long
def test_a_run_with_averaged_weights_that_is_killed_resumes_with_its_averages(
    normlab: Command, runs: Runs, tmp_path: Path, undisturbed: Path
) -> None:
    process = start_and_hold(tmp_path, 65, *AVERAGED)
    process.kill()
    process.wait()
    (tmp_path / "go").touch()
    finished = normlab(*AVERAGED)
    assert finished.returncode == 0, finished.stderr
    assert "resumes after step 64" in finished.stdout
    assert_as_undisturbed(runs("demo")[0], undisturbed)


@pytest.mark.long
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_step_writes_a_checkpoint_and_says_so(
    normlab: Command, runs: Runs, tmp_path: Path, undisturbed: Path, number: signal.Signals, status: int
) -> None:
    process = start_and_hold(tmp_path, 20, *RUN)
    process.send_signal(number)
    (tmp_path / "go").touch()
    told, _ = process.communicate(timeout=300)
    assert process.returncode == status, told
    (run,) = runs("demo")
    assert record_of(run)["status"] == "interrupted"
    assert "interrupted; run the same command again to resume from its checkpoint" in told
    assert "Traceback" not in told
    assert normlab(*RUN).returncode == 0
    assert_as_undisturbed(run, undisturbed)


@pytest.mark.long
def test_of_two_processes_given_one_run_one_trains_and_the_other_leaves(
    normlab: Command, runs: Runs, tmp_path: Path
) -> None:
    process = start_and_hold(tmp_path, 5, *RUN)
    second = normlab(*RUN)
    assert second.returncode == 0
    assert f"is being trained by process {process.pid} on host" in second.stdout
    (tmp_path / "go").touch()
    process.communicate(timeout=300)
    assert f"{runs('demo')[0].name} is already finished" in normlab(*RUN).stdout
    assert record_of(*runs("demo"))["status"] == "finished"


@pytest.mark.long
def test_a_worker_that_is_killed_costs_its_own_run_which_the_same_command_makes_up_for(
    normlab: Command, runs: Runs, tmp_path: Path, undisturbed: Path
) -> None:
    process = start_and_hold(tmp_path, 20, *SWEEP, "hydra.launcher.workers=2", processes=2)
    victim = runs("demo")[0]
    owner = int((victim / "owner.json").read_text().split('"process": ')[1].split("}")[0])
    os.kill(owner, signal.SIGKILL)
    (tmp_path / "go").touch()
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert f"outputs/demo/runs/{victim.name}: its process died" in told
    assert [record_of(run)["status"] for run in runs("demo")].count("finished") == 3
    again = normlab(*SWEEP)
    assert again.returncode == 0, again.stderr
    assert "3 skipped of 4 runs" in again.stdout
    for run in runs("demo"):
        assert_as_undisturbed(run, undisturbed)


@pytest.mark.long
def test_a_sweep_whose_driver_is_asked_to_stop_leaves_no_worker_behind_and_can_be_asked_for_again(
    normlab: Command, runs: Runs, tmp_path: Path, undisturbed: Path
) -> None:
    process = start_and_hold(tmp_path, 20, *SWEEP, "hydra.launcher.workers=2", processes=2)
    process.send_signal(signal.SIGTERM)
    (tmp_path / "go").touch()
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 143, told
    assert not any(is_owned(run) for run in runs("demo"))
    assert normlab(*SWEEP).returncode == 0
    for run in runs("demo"):
        assert_as_undisturbed(run, undisturbed)


def is_owned(run: Path) -> bool:
    from normlab.runs.ownership import find_owner

    return find_owner(run) is not None


def test_a_run_that_diverges_ends_at_once_with_its_step_and_is_a_result(normlab: Command, runs: Runs) -> None:
    command = ("data=digits", "optimizer.lr=1e30", "steps=200")
    finished = normlab(*command)
    assert finished.returncode == 0
    record = record_of(*runs("single"))
    assert record["status"] == "diverged"
    assert 1 < record["diverged_at"] < 10
    assert f"diverged, the loss of step {record['diverged_at']} is not finite" in finished.stdout
    assert "is already diverged" in normlab(*command).stdout


def test_force_makes_a_finished_run_anew_and_keeps_the_old_one(normlab: Command, runs: Runs) -> None:
    command = ("data=digits", "steps=5")
    normlab(*command)
    assert "previous results moved to" in normlab(*command, "force=true").stdout
    old, new = sorted(runs("single"), key=lambda run: run.name, reverse=True)
    assert old.name == f"{new.name}.old1"
    assert (old / "metrics.csv").read_bytes() == (new / "metrics.csv").read_bytes()


@pytest.mark.parametrize("content", ["{", '{"run_id": "another"}', '{"version": 99}'])
def test_a_record_that_is_none_of_this_run_is_refused_and_kept(normlab: Command, tmp_path: Path, content: str) -> None:
    run = compose("data=digits", "steps=5", f"output_root={tmp_path / 'outputs'}").directory
    run.path.mkdir(parents=True)
    run.record.write_text(content)
    refused = normlab("data=digits", "steps=5")
    assert refused.returncode == 1
    assert f"{run.path.name}/run.json" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert run.record.read_text() == content
