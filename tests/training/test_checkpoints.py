"""Which checkpoint a run goes on from when some are damaged, foreign or hostile."""

import logging
import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from normlab.runs.directory import RunDirectory
from normlab.training.checkpoints import keep, latest


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    """A run directory with two checkpoints, after updates 1 and 2."""
    directory = RunDirectory(tmp_path / "mlp-none-seed0-00000000")
    directory.checkpoint.parent.mkdir(parents=True)
    directory.metrics.write_text("step,name,value\n")
    for updates in (1, 2):
        keep(directory, lambda path, updates=updates: torch.save(content(directory, updates), path))  # type: ignore[misc]
    return directory


def content(directory: RunDirectory, updates: int, **changes: Any) -> dict[str, Any]:
    return {"run_id": directory.path.name, "updates": updates, "metrics_size": 16, "w": torch.ones(500), **changes}


def found(directory: RunDirectory) -> int | None:
    checkpoint = latest(directory)
    return None if checkpoint is None else int(checkpoint["updates"])


def damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "truncated": whole[:middle],
            "empty": b"",
            "one bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        }[how]
    )


def test_the_last_checkpoint_is_the_one_to_go_on_from(directory: RunDirectory) -> None:
    assert found(directory) == 2


@pytest.mark.parametrize("how", ["truncated", "empty", "one bit"])
def test_a_damaged_one_falls_back_to_the_one_before_and_then_to_none(
    directory: RunDirectory, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    damage(directory.checkpoint, how)
    assert found(directory) == 1
    assert re.search(r"skipping \S+last.ckpt: (it is corrupt|File is not a zip file)", caplog.text)
    damage(directory.previous_checkpoint, how)
    assert found(directory) is None
    assert "previous.ckpt: " in caplog.text


def test_one_of_another_run_is_passed_over(directory: RunDirectory, caplog: pytest.LogCaptureFixture) -> None:
    keep(directory, lambda path: torch.save(content(directory, 3, run_id="mlp-none-seed1-11111111"), path))
    assert found(directory) == 2
    assert "it belongs to the run mlp-none-seed1-11111111" in caplog.text


def test_one_whose_metrics_are_gone_is_passed_over(directory: RunDirectory) -> None:
    directory.metrics.write_text("step")
    assert found(directory) is None


class Hostile:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


def test_no_code_in_a_checkpoint_runs(directory: RunDirectory, tmp_path: Path) -> None:
    executed = tmp_path / "executed"
    hostile = Hostile(executed)
    keep(directory, lambda path: torch.save(content(directory, 3, w=hostile), path))
    assert found(directory) == 2
    directory.checkpoint.write_bytes(pickle.dumps(hostile, protocol=2))
    assert found(directory) == 2
    assert not executed.exists()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_one_that_is_cut_short_while_it_is_written_leaves_those_before(directory: RunDirectory, moment: str) -> None:
    def save(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    def replace_fails(path: Path) -> None:
        torch.save(content(directory, 3), path)
        directory.previous_checkpoint.unlink()
        directory.previous_checkpoint.mkdir()  # so that the rotation fails

    with pytest.raises(OSError, match=r"No space left|Is a directory"):
        keep(directory, save if moment == "before" else replace_fails)
    assert found(directory) == 2
    assert not list(directory.checkpoint.parent.glob(".*"))
