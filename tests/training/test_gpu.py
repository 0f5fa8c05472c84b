"""On a GPU: recorded updates are the updates, populations end as lone runs do, deterministic runs repeat their bits."""

from pathlib import Path

import pytest
import torch

from normlab.config.compose import compose
from normlab.population.run import train_together
from normlab.runs.run import Run
from normlab.training.run import train

from ..integration.conftest import curves_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA GPU here")

SMALL = ("data=digits", "accelerator=gpu", "normalizer=batch", "steps=50", "observe.train_batch={first: 10, every: 10}")
OPTIMIZERS = ["sgd", "momentum", "adam", "rmsprop"]


def planned(root: Path, *overrides: str) -> Run:
    return compose(*SMALL, *overrides, f"output_root={root}")


def losses(planned: Run) -> dict[int, float]:
    return curves_of(planned.directory.path)["train_batch/loss"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_update_replayed_from_a_cuda_graph_is_the_update(tmp_path: Path, optimizer: str) -> None:
    eager, recorded = (
        planned(tmp_path, f"optimizer={optimizer}", f"accelerator.cuda_graph={switch}") for switch in ("false", "true")
    )
    for each in (eager, recorded):
        train(each)
    assert losses(recorded) == pytest.approx(losses(eager), rel=1e-4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", ["mlp", "convnet"])
def test_a_population_ends_as_lone_runs_do(tmp_path: Path, model: str, optimizer: str) -> None:
    overrides = (f"model={model}", f"optimizer={optimizer}")
    together = [planned(tmp_path / "together", *overrides, f"seed={seed}") for seed in range(3)]
    train_together(together)
    for each in together:
        lone = planned(tmp_path / "alone", *overrides, f"seed={each.settings['seed']}")
        train(lone)
        assert losses(each) == pytest.approx(losses(lone), rel=1e-3)


@pytest.mark.parametrize("clip", ["clip_norm", "adaptive_clip"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_population_with_schedule_and_clipping_ends_as_lone_runs_do(tmp_path: Path, schedule: str, clip: str) -> None:
    overrides = ("model=convnet", "optimizer=momentum", f"schedule={schedule}", f"gradient={clip}")
    together = [planned(tmp_path / "together", *overrides, f"seed={seed}") for seed in range(2)]
    train_together(together)
    for each in together:
        lone = planned(tmp_path / "alone", *overrides, f"seed={each.settings['seed']}")
        train(lone)
        assert losses(each) == pytest.approx(losses(lone), rel=1e-3)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_deterministic_runs_repeat_bit_by_bit(tmp_path: Path, precision: str) -> None:
    found = []
    for place in ("first", "second"):
        each = planned(
            tmp_path / place, "model=convnet", "accelerator.deterministic=true", f"accelerator.precision={precision}"
        )
        train(each)
        found.append(each.directory.metrics.read_bytes())
    assert found[0] == found[1]
