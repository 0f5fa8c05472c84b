"""Which jobs are made together, and what becomes of those that cannot be."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from normlab.config.compose import compose
from normlab.config.sweep import Job
from normlab.population import launch as populations
from normlab.population.launch import run_in_populations
from normlab.population.run import train_together
from normlab.runs.run import Run
from normlab.training.run import train


def jobs(root: Path, *sweep: tuple[str, ...]) -> list[Job]:
    return [
        Job(number, compose("data=digits", "steps=4", f"output_root={root}", *overrides))
        for number, overrides in enumerate(sweep)
    ]


class Alone:
    """Does a job as `Work` does, without Hydra."""

    hydra = OmegaConf.create({"job_logging": None, "verbose": False})

    def __call__(self, job: Job) -> str:
        return train(job.run).status


alone: Any = Alone()


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The seeds of the runs that are made together, group by group."""
    made: list[list[int]] = []
    real = train_together

    def noted(runs: Sequence[Run]) -> None:
        made.append([each.settings["seed"] for each in runs])
        real(runs)

    monkeypatch.setattr(populations, "train_together", noted)
    return made


def values(outcomes: Sequence[Any]) -> list[Any]:
    return [outcome.value for outcome in outcomes]


def test_jobs_that_differ_in_their_seed_alone_are_made_together_wherever_they_stand(
    tmp_path: Path, groups: list[list[int]]
) -> None:
    sweep = [(f"seed={seed}", f"normalizer={name}") for seed in (0, 1, 2) for name in ("none", "batch")]
    outcomes = run_in_populations(alone, jobs(tmp_path, *sweep, ("batch_size=32",)), size=2, workers=1)
    assert groups == [[0, 1], [0, 1]]  # the third of each, and the one with another batch size, are alone
    assert values(outcomes) == ["finished"] * 7


def test_two_workers_share_one_large_group_and_leave_small_ones_whole(tmp_path: Path) -> None:
    outcomes = run_in_populations(alone, jobs(tmp_path, *[(f"seed={seed}",) for seed in range(4)]), 64, workers=2)
    assert values(outcomes) == ["finished"] * 4
    records = [json.loads(path.read_text()) for path in sorted(tmp_path.rglob("run.json"))]
    assert [record["environment"]["trained_together"] for record in records] == [2, 2, 2, 2]


def test_out_of_memory_halves_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    made = []
    real = train_together

    def too_large(runs: Sequence[Run]) -> None:
        if len(runs) > 2:
            raise MemoryError("OutOfMemoryError: CUDA out of memory")
        made.append(len(runs))
        real(runs)

    monkeypatch.setattr(populations, "train_together", too_large)
    outcomes = run_in_populations(alone, jobs(tmp_path, *[(f"seed={seed}",) for seed in range(4)]), size=8, workers=1)
    assert made == [2, 2]
    assert values(outcomes) == ["finished"] * 4
    assert "and 3 more do not fit into memory together: half of them at a time" in caplog.text


def test_runs_whose_checkpoints_stand_at_different_updates_are_not_mixed(
    tmp_path: Path, groups: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = jobs(tmp_path, *[(f"seed={seed}",) for seed in range(4)])
    monkeypatch.setattr(populations, "count_steps_done", lambda run: 2 if run.settings["seed"] < 2 else 0)
    run_in_populations(alone, sweep, size=8, workers=1)
    assert groups == [[0, 1], [2, 3]]


def test_a_normalizer_that_cannot_be_vectorized_is_named_and_its_runs_are_made_alone(
    tmp_path: Path, groups: list[list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    own = "normalizer._target_=tests.population.test_run.DropsSome"
    outcomes = run_in_populations(alone, jobs(tmp_path, (own, "seed=0"), (own, "seed=1")), size=8, workers=1)
    assert groups == [[0, 1]]
    assert values(outcomes) == ["finished"] * 2
    told = [line for line in caplog.messages if "are trained one after another" in line]
    assert len(told) == 1
    assert "random" in told[0]


def test_a_lost_gpu_leaves_runs_that_can_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = jobs(tmp_path, ("seed=0",), ("seed=1",))

    def lost(*arguments: object) -> None:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    with monkeypatch.context() as patched:
        patched.setattr("normlab.population.run.fit_together", lost)
        outcomes = run_in_populations(alone, sweep, size=8, workers=1)
    assert all("the GPU was lost: CUDA error" in str(outcome.error) for outcome in outcomes)
    assert [job.run.state().status for job in sweep] == ["interrupted"] * 2
    assert values(run_in_populations(alone, sweep, size=8, workers=1)) == ["finished"] * 2
