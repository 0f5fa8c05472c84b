"""Runs whose training passes are in half precision: what they compute in, keep, record and go on from."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from normlab.config.compose import compose
from normlab.runs.directory import RunDirectory
from normlab.training.observations import Observer
from normlab.training.run import RunInterrupted, train

# A perceptron, because CPUs take some thirty times as long for convolutions in float16.
RUN = ("data=digits", "model=mlp", "normalizer=tf_nn", "optimizer=adam", "accelerator.kind=cpu", "steps=60")
half_precisions = pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])


def made(place: Path, *overrides: str) -> RunDirectory:
    """Make a run below a place, or what is left of it; return its directory."""
    run = compose(*RUN, "observe.val.first=1", "observe.val.every=5", *overrides, f"output_root={place}")
    train(run)
    return RunDirectory(next(place.glob("single/runs/*")))


def tensors_in(content: Any) -> list[torch.Tensor]:
    if isinstance(content, torch.Tensor):
        return [content]
    if isinstance(content, dict | list):
        return [
            tensor
            for part in (content.values() if isinstance(content, dict) else content)
            for tensor in tensors_in(part)
        ]
    return []


@half_precisions
def test_a_run_in_half_precision_trains_says_so_and_keeps_float32(tmp_path: Path, precision: str) -> None:
    half, full = (made(tmp_path / one, f"accelerator.precision={one}") for one in (precision, "32-true"))
    record, reference = half.read(), full.read()
    assert record is not None
    assert reference is not None
    assert (record.environment["precision"], reference.environment["precision"]) == (precision, "32-true")
    assert record.metrics["val/accuracy"] > 0.8
    assert record.metrics["val/loss"] == pytest.approx(reference.metrics["val/loss"], rel=0.05)
    assert record.metrics["val/loss"] != pytest.approx(reference.metrics["val/loss"], rel=1e-5)
    kept = torch.load(half.checkpoint, weights_only=True)
    assert "hidden.0.normalizer.running_mean" in kept["network"]
    assert {tensor.dtype for tensor in tensors_in([kept["network"], kept["optimizer"]])} == {torch.float32}
    assert bool(kept["scaler"]) == (precision == "16-mixed")


@half_precisions
def test_a_run_in_half_precision_goes_on_from_its_checkpoint_to_the_same_bytes(
    tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = f"accelerator.precision={precision}"
    whole = made(tmp_path / "whole", asked)
    observe = Observer.on_train_batch_end

    def observe_and_interrupt(self: Observer, trainer: Any, module: Any, *args: Any) -> None:
        observe(self, trainer, module, *args)
        if module.steps_done == 16:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(Observer, "on_train_batch_end", observe_and_interrupt)
        with pytest.raises(RunInterrupted):
            made(tmp_path / "parts", asked)
    (interrupted,) = tmp_path.glob("parts/single/runs/*")
    assert torch.load(RunDirectory(interrupted).checkpoint, weights_only=True)["steps_done"] == 16
    resumed = made(tmp_path / "parts", asked)
    assert resumed.metrics.read_bytes() == whole.metrics.read_bytes()
    ends = [torch.load(directory.checkpoint, weights_only=True) for directory in (whole, resumed)]
    assert ends[0]["scaler"] == ends[1]["scaler"]
    assert all(torch.equal(*pair) for pair in zip(*(tensors_in(end["network"]) for end in ends), strict=True))
