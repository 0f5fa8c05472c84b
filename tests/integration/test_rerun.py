"""`normlab-rerun`: a run is trained again from its own directory, and the bytes are compared."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from normlab.commands.rerun import main

from .conftest import Command, run_command

RUN = ("data=digits", "normalizer=batch", "steps=8", "observe.val.first=4", "observe.val.every=4")

USERS_NORMALIZER = """
from torch import nn

class Scale(nn.Module):
    def __init__(self, num_features):
        super().__init__()

    def forward(self, x):
        return x * {factor}
"""


def rerun(place: Path, directory: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return run_command("rerun", place, str(directory), TMPDIR=str(place), **environment)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("trained")
    assert run_command("run", place, *RUN).returncode == 0
    (run,) = place.glob("outputs/single/runs/*")
    return run


@pytest.fixture
def run(tmp_path: Path, trained: Path) -> Path:
    """The trained run in another place."""
    return Path(shutil.copytree(trained, tmp_path / "elsewhere" / trained.name))


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_run_agrees_to_the_byte_wherever_it_was_moved_and_stays_as_it_is(tmp_path: Path, run: Path) -> None:
    before = contents(run)
    done = rerun(tmp_path, run)
    assert done.returncode == 0, done.stderr
    assert f"{run.name}: metrics.csv agrees to the byte" in done.stdout
    assert contents(run) == before
    assert not list(tmp_path.glob("normlab-rerun-*"))


def test_changed_curves_are_named_by_their_line_and_both_runs_are_kept(tmp_path: Path, run: Path) -> None:
    lines = (run / "metrics.csv").read_text().splitlines()
    lines[2] = "4,val/accuracy,0.5"
    (run / "metrics.csv").write_text("\n".join([*lines, ""]))
    done = rerun(tmp_path, run)
    assert done.returncode == 1
    assert "metrics.csv differs from line 3 on: it was 4,val/accuracy,0.5, now it is" in done.stdout
    (kept,) = tmp_path.glob("normlab-rerun-*/single/runs/*")
    assert str(kept) in done.stdout
    assert (kept / "metrics.csv").is_file()


@pytest.mark.long
def test_a_users_own_code_that_changed_shows_in_the_verdict(
    tmp_path: Path, normlab: Command, runs: Callable[[str], list[Path]]
) -> None:
    (tmp_path / "mine.py").write_text(USERS_NORMALIZER.format(factor=1))
    (tmp_path / "conf" / "normalizer").mkdir(parents=True)
    (tmp_path / "conf" / "normalizer" / "scale.yaml").write_text("_target_: mine.Scale\n")
    path = {"PYTHONPATH": str(tmp_path)}
    assert normlab("--config-dir=conf", "data=digits", "normalizer=scale", "steps=4", **path).returncode == 0
    (run,) = runs("single")
    (tmp_path / "mine.py").write_text(USERS_NORMALIZER.format(factor=2))
    done = rerun(tmp_path, run, **path)
    assert done.returncode == 1
    assert "metrics.csv differs from line 2 on" in done.stdout
    assert "  code of mine" in done.stdout

    (tmp_path / "mine.py").unlink()
    gone = rerun(tmp_path, run, **path)
    assert gone.returncode == 2
    assert "normalizer._target_=mine.Scale cannot be imported" in gone.stderr
    assert "Traceback" not in gone.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: (run / "run.json").unlink(), "is no run directory: it has no run.json"),
        (lambda run: (run / "config.yaml").unlink(), "config.yaml"),
        (lambda run: (run / "config.yaml").write_text("steps: [1"), "config.yaml"),
        (lambda run: change_record(run, version=99), "was written by an incompatible version of normlab"),
        (lambda run: change_record(run, status="failed"), "holds no result to compare with: it is failed"),
        (lambda run: add_line(run, "seed: 5"), "seed"),
        (lambda run: add_line(run, "new_key: 5"), "new_key"),
    ],
    ids=["no record", "no config", "broken config", "version", "failed", "edited", "unknown key"],
)
def test_what_cannot_be_compared_ends_in_one_message(
    run: Path,
    change: Callable[[Path], object],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change(run)
    monkeypatch.setattr(sys, "argv", ["normlab-rerun", str(run)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    output, errors = capsys.readouterr()
    assert message in errors
    assert output == ""


def change_record(run: Path, **changes: object) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, **changes}))


def add_line(run: Path, line: str) -> None:
    text = (run / "config.yaml").read_text()
    key = line.split(":")[0]
    kept = [each for each in text.splitlines() if not each.startswith(f"{key}:")]
    (run / "config.yaml").write_text("\n".join([*kept, line, ""]))


def test_a_directory_that_is_none_is_named(tmp_path: Path) -> None:
    done = rerun(tmp_path, tmp_path / "nowhere")
    assert done.returncode == 2
    assert "nowhere is no run directory" in done.stderr
