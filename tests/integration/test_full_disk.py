"""Disks that are full or read-only, and a file where a directory should be: a clear message, and nothing lost."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import OFTEN, Command, record_of

RUN = ("data=digits", "steps=200", "observe.val.first=50", "observe.val.every=50")

CALLBACKS = """
import pathlib
import pytorch_lightning as pl

class FillsTheDiskOnce(pl.Callback):
    def on_train_end(self, trainer, module):
        if not pathlib.Path("filled").exists():
            pathlib.Path("filled").touch()
            with open("outputs/filling", "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(64))
                except OSError:
                    pass
"""


@pytest.fixture
def on_a_disk_of_its_own(tmp_path: Path) -> Callable[[str, str], str]:
    """Return a function that runs a shell script in `tmp_path`, where `outputs` is a disk mounted with options.

    In the script `$NORMLAB` is the command. What it prints comes back.
    """
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-Urm", "true"], check=False).returncode:
        pytest.skip("a process may not mount a disk of its own here")
    (tmp_path / "outputs").mkdir()
    (tmp_path / "of_a_user.py").write_text(OFTEN + CALLBACKS)

    def run(options: str, script: str) -> str:
        setting = f"PYTHONPATH=. ; export PYTHONPATH; NORMLAB='{sys.executable} -m normlab'"
        return subprocess.run(
            ["unshare", "-Urm", "sh", "-c", f"mount -t tmpfs -o {options} disk outputs && {setting} && {script}"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        ).stdout

    return run


@pytest.mark.long
@pytest.mark.parametrize("callback", ["", "+callbacks.inert._target_=pytorch_lightning.Callback"])
def test_a_checkpoint_that_the_disk_does_not_take_costs_a_warning(
    on_a_disk_of_its_own: Callable[[str, str], str], callback: str
) -> None:
    often = "'+observe.often={_target_: of_a_user.Often, first: 1000, every: 1000}'"
    command = f"$NORMLAB {' '.join(RUN)} {often} {callback}"
    told = on_a_disk_of_its_own("size=330k", f"{command}; echo status $?; ls outputs/single/runs/*/checkpoints")
    assert re.search(r"no checkpoint after step \d+, the previous one stays \(is the disk full\?\)", told)
    assert "status 0" in told
    assert "test/accuracy" in told
    assert "Traceback" not in told


@pytest.mark.long
def test_a_disk_that_is_full_at_the_record_is_told_and_the_run_is_made_up_for_when_there_is_room(
    on_a_disk_of_its_own: Callable[[str, str], str],
) -> None:
    command = f"$NORMLAB {' '.join(RUN)} +callbacks.fills._target_=of_a_user.FillsTheDiskOnce"
    told = on_a_disk_of_its_own(
        "size=3M", f"{command}; echo status $?; rm outputs/filling; {command} && cat outputs/single/runs/*/run.json"
    )
    first, _, second = told.partition("status 1")
    assert "No space left on device. Choose another place with output_root=DIR." in first
    assert '"status": "finished"' in second
    assert "Traceback" not in told


@pytest.mark.long
def test_a_disk_that_is_read_only_is_told(on_a_disk_of_its_own: Callable[[str, str], str]) -> None:
    told = on_a_disk_of_its_own("ro", f"$NORMLAB {' '.join(RUN)}; echo status $?")
    assert "cannot write to outputs/single/runs/" in told
    assert "Read-only file system. Choose another place with output_root=DIR." in told
    assert "status 1" in told
    assert "Traceback" not in told


def test_a_file_in_the_place_of_a_run_directory_is_told_and_kept(
    normlab: Command, tmp_path: Path, runs: Callable[[str], list[Path]]
) -> None:
    assert normlab(*RUN).returncode == 0
    (run,) = runs("single")
    shutil.rmtree(run)
    run.write_text("mine")
    finished = normlab(*RUN)
    assert finished.returncode == 1
    assert f"cannot write to {run.relative_to(tmp_path)}" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert run.read_text() == "mine"
    run.unlink()
    assert normlab(*RUN).returncode == 0
    assert record_of(run)["status"] == "finished"
