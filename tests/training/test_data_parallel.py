"""Two processes train one network as one process does, up to what they are told to keep apart."""

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from normlab.config.compose import compose
from normlab.errors import ConfigurationError
from normlab.runs.record import Record
from normlab.training.build import build
from normlab.training.checkpoints import latest
from normlab.training.module import TrainingModule
from normlab.training.observations import Observer
from normlab.training.run import RunInterrupted, train

from ..integration.conftest import curves_of

OBSERVED = tuple(
    f"observe.{name}.{key}=2" for name in ("train_batch", "test_batch", "val") for key in ("first", "every")
)
Trained = Callable[..., tuple[Record, dict[str, dict[int, float]], dict[str, torch.Tensor]]]


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    """Return a function from overrides to record, curves and last weights and buffers of a short run on digits.

    A rounding error that moves one value past the kink of a ReLU is soon no small one, hence few updates, and tanh
    where Adam blows it up sooner.
    """

    def make(*overrides: str) -> tuple[Record, dict[str, dict[int, float]], dict[str, torch.Tensor]]:
        run = compose("data=digits", "steps=4", f"output_root={tmp_path}", *OBSERVED, *overrides)
        record = train(run)
        directory = run.directory
        checkpoint = latest(directory)
        assert checkpoint is not None
        return record, curves_of(directory.path), checkpoint["network"]

    return make


def assert_alike(found: Any, expected: Any, tolerance: float = 2e-5) -> None:
    (_, curves, state), (_, expected_curves, expected_state) = found, expected
    assert curves.keys() == expected_curves.keys()
    for name, values in expected_curves.items():
        assert curves[name] == pytest.approx(values, rel=tolerance, abs=tolerance), name
    torch.testing.assert_close(state, expected_state, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "overrides",
    [
        ("normalizer=none", "optimizer=momentum"),
        ("normalizer=tf_layers", "model=convnet", "optimizer=adam", "model.channels=[4,8]", "model.activation=tanh"),
        ("normalizer=tf_nn", "model=convnet", "model.channels=[4,8]", "accelerator.processes=4"),
        ("normalizer=formula", "optimizer=adam"),
        ("normalizer=batch", "preprocessing=standardize"),
        ("normalizer=batch", "augmentation=crop_flip", "sampler=by_class"),
    ],
    ids=" ".join,
)
def test_several_processes_train_as_one_on_the_whole_batch(trained: Trained, overrides: tuple[str, ...]) -> None:
    several = trained("accelerator=ddp", *overrides)
    alone = trained(*(override for override in overrides if "processes" not in override))
    assert_alike(several, alone)
    assert several[0].statistics_batch == alone[0].statistics_batch
    assert set(several[0].statistics_batch.values()) <= {64}
    assert (several[0].environment["processes"] > 1) == (alone[0].environment["processes"] == 1)


def test_without_synchronization_the_running_averages_are_of_the_part_of_the_first_process(trained: Trained) -> None:
    record, _, state = trained("accelerator=ddp", "sync_statistics=false", "normalizer=batch", "optimizer.lr=0")
    assert record.statistics_batch == {"hidden.0": 32}

    parts = build(compose("data=digits", "steps=4", "normalizer=batch", "optimizer.lr=0").settings)
    for step in range(4):
        parts.module.network(parts.module.batches.batch(step)[0][:32])
    for name, value in parts.module.network.state_dict().items():
        torch.testing.assert_close(state[name], value, rtol=1e-5, atol=1e-6)

    apart, together = (
        trained("accelerator=ddp", f"sync_statistics={sync}", "normalizer=batch")[1] for sync in ("false", "true")
    )
    assert abs(apart["val/loss"][4] - together["val/loss"][4]) > 1e-3


def test_a_loss_that_is_not_finite_ends_the_run_at_the_update_at_which_one_process_would_end_it(tmp_path: Path) -> None:
    diverged = []
    for accelerator in ("cpu", "ddp"):
        run = compose("data=digits", f"accelerator={accelerator}", "optimizer.lr=1e30", f"output_root={tmp_path}")
        diverged.append(train(run).diverged_at)
    assert diverged[0] is not None
    assert diverged[0] == diverged[1]


class Drawing(nn.Module):
    """Draws in training, and keeps running averages that it uses there."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(num_features))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        assert isinstance(self.running_mean, torch.Tensor)
        centred = inputs - self.running_mean
        if self.training:
            self.running_mean.lerp_(inputs.detach().mean(0), 0.5)
            return nn.functional.dropout(centred, 0.5)
        return centred


def test_a_run_whose_first_process_is_stopped_resumes_to_the_same_bytes_whatever_its_modules_draw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe = Observer.observe

    def observe_and_stop(self: Observer, module: TrainingModule, loggers: Any) -> None:
        observe(self, module, loggers)
        if module.steps_done == 3:
            signal.raise_signal(signal.SIGTERM)

    tables = []
    for place, stops in (("stopped", True), ("whole", False)):
        run = compose(
            "data=digits",
            "steps=12",
            "accelerator=ddp",
            "observe.val.first=1",
            "observe.val.every=1",
            f"output_root={tmp_path / place}",
        )
        run = replace(run, settings={**run.settings, "normalizer": {"_target_": f"{__name__}.Drawing"}})
        if stops:
            with monkeypatch.context() as patched:
                patched.setattr(Observer, "observe", observe_and_stop)
                with pytest.raises(RunInterrupted):
                    train(run)
            assert 3 < torch.load(run.directory.checkpoint, weights_only=True)["steps_done"] < 12
        assert train(run).status == "finished"
        tables.append(run.directory.metrics.read_bytes())
    assert tables[0] == tables[1]


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"batch_size=65 .* accelerator.processes=2: choose a multiple of 2"):
        compose("data=digits", "accelerator=ddp", "batch_size=65")
    with pytest.raises(ConfigurationError, match=r"accelerator.processes=0 is out of range"):
        compose("data=digits", "accelerator=ddp", "accelerator.processes=0")
