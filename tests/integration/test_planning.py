"""What a sweep plans is what its runs do, wherever and however their jobs run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Command, record_of

SWEEP = ("-m", "data=digits", "steps=2", "evaluate.one_by_one=0")


@pytest.mark.parametrize(
    "launcher", ["basic", *(pytest.param(name, marks=pytest.mark.long) for name in ("processes", "population"))]
)
def test_a_config_may_hold_the_number_of_the_job_the_time_of_the_sweep_and_a_directory_for_each_job(
    normlab: Command, tmp_path: Path, launcher: str
) -> None:
    done = normlab(
        *SWEEP,
        f"hydra/launcher={launcher}",
        "seed=${hydra:job.num}",
        "normalizer=none,batch",
        "output_root=at_${now:%H%M%S%f}",
        "hydra.job.chdir=true",
        "hydra.sweep.dir=elsewhere",
    )
    assert done.returncode == 0, done.stderr
    (place,) = tmp_path.glob("at_*")
    records = [record_of(run) for run in place.glob("single/runs/*")]
    assert {(record["seed"], record["choices"]["normalizer"]) for record in records} == {(0, "none"), (1, "batch")}
    assert {record["status"] for record in records} == {"finished"}
    assert "2 done" in done.stdout
    assert not list(tmp_path.glob("elsewhere/**/run.json"))


def test_a_single_run_with_a_directory_of_its_own_runs_in_that_of_the_command(
    normlab: Command, runs: Callable[[str], list[Path]]
) -> None:
    done = normlab("data=digits", "steps=2", "hydra.job.chdir=true", "hydra.run.dir=elsewhere")
    assert done.returncode == 0, done.stderr
    assert len(runs("single")) == 1


def test_a_sweep_over_experiments_is_refused_with_the_way_to_do_it(normlab: Command, tmp_path: Path) -> None:
    done = normlab("-m", "experiment=demo,mlp", "data=digits", "steps=8", "seed=0")
    assert done.returncode == 1
    assert "sweeps over experiments (demo, mlp)" in done.stderr
    assert "`normlab experiment=NAME`" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.long
def test_a_sweep_over_output_folders_gives_each_its_runs_and_its_report(normlab: Command, tmp_path: Path) -> None:
    done = normlab(*SWEEP, "output_root=a,b", "seed=0,1", report=True)
    assert done.returncode == 0, done.stderr
    for folder in ("a", "b"):
        assert len(list(tmp_path.glob(f"{folder}/single/runs/*/run.json"))) == 2
        assert (tmp_path / folder / "single" / "report" / "index.html").is_file()


def test_a_job_number_outside_of_a_sweep_ends_in_one_message(normlab: Command, tmp_path: Path) -> None:
    done = normlab("data=digits", "seed=${hydra:job.num}")
    assert done.returncode == 1
    assert "job.num" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.long
def test_a_finished_sweep_is_recognized_and_its_jobs_keep_their_numbers(
    normlab: Command, runs: Callable[[str], list[Path]]
) -> None:
    command = (*SWEEP, "seed=${hydra:job.num}", "normalizer=none,batch,slim")
    assert normlab(*command).returncode == 0
    before = {run.name for run in runs("single")}
    (middle,) = (run for run in runs("single") if "batch" in run.name)
    (middle / "run.json").unlink()
    again = normlab(*command)
    assert again.returncode == 0, again.stderr
    assert "2 skipped of 3 runs" in again.stdout
    assert {run.name for run in runs("single")} == before
