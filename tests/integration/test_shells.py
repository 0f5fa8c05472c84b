"""Shells and other places from which people start the command: closed streams, pipes, variables, odd names."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Command, record_of

QUICK = "data=digits steps=4 evaluate.one_by_one=0 evaluate.splits=[val]"


def shell(script: str, place: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a script of bash in which `$NORMLAB` is the command."""
    return subprocess.run(
        ["bash", "-c", script],
        cwd=place,
        env={**os.environ, "NORMLAB": f"{sys.executable} -m normlab", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "redirection", ["2>&- >&-", *(pytest.param(one, marks=pytest.mark.long) for one in ("2>&-", ">&-"))]
)
def test_closed_streams_end_no_command(tmp_path: Path, redirection: str) -> None:
    ended = shell(f"$NORMLAB -m {QUICK} seed=0,1 {redirection}", tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "outputs/single/report/index.html").is_file()


@pytest.mark.long
def test_a_pipe_that_nobody_reads_any_more_ends_no_command(tmp_path: Path) -> None:
    ended = shell(f"set -o pipefail; $NORMLAB -m {QUICK} seed=0,1 | head -1", tmp_path)
    assert (ended.returncode, ended.stdout.count("\n")) == (0, 1), ended.stderr
    assert "error" not in ended.stderr.lower()
    assert (tmp_path / "outputs/single/report/index.html").is_file()


@pytest.mark.long
def test_a_report_that_was_not_built_shows_in_the_exit_status(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text("raise ImportError('broken')")  # which the report alone imports
    ended = shell(f"$NORMLAB -m {QUICK} seed=0", tmp_path, PYTHONPATH=str(tmp_path))
    assert ended.returncode == 1
    assert "The report was not built; normlab-report outputs/single tries again." in ended.stdout


@pytest.mark.long
def test_variables_that_a_shell_has_left_from_torchrun_say_nothing(tmp_path: Path) -> None:
    left = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
    ended = shell(f"$NORMLAB -m {QUICK} seed=0,1 hydra.sweeper.report=false", tmp_path, **left)
    assert ended.returncode == 0, ended.stderr
    assert len([*tmp_path.glob("outputs/single/runs/*/run.json")]) == 2


@pytest.mark.long
def test_a_directory_for_temporary_files_with_a_long_name_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / ("x" * 90)).mkdir()
    ended = shell(
        f"$NORMLAB -m {QUICK} accelerator=ddp seed=0 hydra.sweeper.report=false",
        tmp_path,
        TMPDIR=str(tmp_path / ("x" * 90)),
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.long
def test_the_environment_of_jobs_is_there_when_a_sweep_is_planned_and_checked(normlab: Command, tmp_path: Path) -> None:
    ended = normlab("-m", *QUICK.split(), "seed=0,1", "+hydra.job.env_set.PLACE=mine", "output_root=${oc.env:PLACE}")
    assert ended.returncode == 0, ended.stderr
    assert len([*tmp_path.glob("mine/single/runs/*/run.json")]) == 2


def test_a_launcher_chosen_by_an_experiment_is_used(normlab: Command, tmp_path: Path) -> None:
    (tmp_path / "conf/experiment").mkdir(parents=True)
    text = "# @package _global_\ndefaults: [override /hydra/launcher: basic]\n"
    (tmp_path / "conf/experiment/mine.yaml").write_text(text)
    shown = normlab("--config-dir=conf", "experiment=mine", "--cfg", "hydra", "-p", "hydra.launcher")
    assert "BasicLauncher" in shown.stdout
    shown = normlab("--config-dir=conf", "experiment=mine", "hydra/launcher=population", "--cfg", "hydra")
    assert "PopulationLauncher" in shown.stdout


@pytest.mark.parametrize("override", ["seed=range(0)", "normalizer=glob(tff*)"])
def test_a_sweep_over_nothing_is_refused(normlab: Command, override: str) -> None:
    ended = normlab("-m", *QUICK.split(), override)
    assert ended.returncode == 1
    assert f"{override} names no value, so there is no run" in ended.stderr


def test_a_config_file_named_like_a_number_has_to_be_quoted(normlab: Command, tmp_path: Path) -> None:
    (tmp_path / "conf/normalizer").mkdir(parents=True)
    (tmp_path / "conf/normalizer/2.yaml").write_text("_target_: torch.nn.BatchNorm1d\n")
    ended = normlab("--config-dir=conf", *QUICK.split(), "normalizer=2")
    assert (ended.returncode, ended.stderr) == (
        1,
        """normalizer=2 names no file but 2: quote the name of the file, 'normalizer="2"'\n""",
    )
    assert normlab("--config-dir=conf", *QUICK.split(), 'normalizer="2"').returncode == 0


def test_null_is_refused_where_a_number_is_needed(normlab: Command) -> None:
    ended = normlab(*QUICK.split(), "normalizer=batch", "normalizer.momentum=null")
    assert ended.returncode == 1
    assert "normalizer.momentum=null has the wrong type: it is a number" in ended.stderr


def test_a_published_figure_that_is_no_number_leaves_valid_json(normlab: Command, tmp_path: Path) -> None:
    assert normlab(*QUICK.split(), "+published.none={val/accuracy: nan}").returncode == 0
    (run,) = tmp_path.glob("outputs/single/runs/*")
    json.loads((run / "run.json").read_text(), parse_constant=pytest.fail)
    assert record_of(run)["published"] == {"none": {"val/accuracy": None}}


@pytest.mark.long
def test_printed_commands_can_be_pasted_whatever_the_folder_is_called(normlab: Command, tmp_path: Path) -> None:
    ended = normlab("-m", *QUICK.split(), "seed=0", 'output_root="o_c, (1) #x"', report=True)
    assert ended.returncode == 0, ended.stderr
    assert "tensorboard --logdir 'o_c, (1) #x/single'" in ended.stdout


def test_a_config_of_ones_own_that_a_shipped_one_would_hide_is_a_mistake(normlab: Command, tmp_path: Path) -> None:
    (tmp_path / "conf" / "normalizer").mkdir(parents=True)
    (tmp_path / "conf" / "normalizer" / "batch.yaml").write_text("_target_: torch.nn.BatchNorm2d\n")
    for option in (("--config-dir=conf",), ("-cd", "conf")):
        ended = normlab(*option, "normalizer=batch", *QUICK.split())
        assert ended.returncode == 1
        assert "conf/normalizer/batch.yaml is hidden by the config of that name" in ended.stderr
