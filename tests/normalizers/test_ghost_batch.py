"""Ghost batch normalization against PyTorch's layer, which gets the virtual batches one after another."""

import csv
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from normlab.config.compose import compose
from normlab.errors import ConfigurationError
from normlab.normalizers import GhostBatchNorm, get_statistics_batch
from normlab.training.build import build
from normlab.training.run import train

from .test_batch_norm import assert_same_training, both_ranks, random_batches, torch_layer


@both_ranks
@pytest.mark.parametrize("size", [8, 9, 100])
def test_a_batch_of_one_virtual_batch_is_normalized_as_by_the_layer_of_pytorch(rank: str, size: int) -> None:
    assert_same_training(GhostBatchNorm(3, size).double(), torch_layer(rank).double(), random_batches(rank), atol=1e-11)


class PartByPart(nn.BatchNorm1d):
    """A layer that gets the virtual batches of two examples, with their positions in a row, one after another."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        rows = inputs.flatten(2) if inputs.ndim == 4 else inputs
        outputs = torch.cat([nn.BatchNorm1d.forward(self, part) for part in torch.split(rows, 2)])
        return outputs.view_as(inputs)


@both_ranks
@pytest.mark.parametrize("momentum", [0.1, 0.0, 1.0])
def test_virtual_batches_are_normalized_and_averaged_one_after_another(rank: str, momentum: float) -> None:
    reference = PartByPart(3, momentum=momentum).double()
    ours = GhostBatchNorm(3, size=2, momentum=momentum).double()
    assert_same_training(ours, reference, random_batches(rank), atol=1e-10)


@pytest.mark.parametrize("size", [3, 5])
def test_a_batch_that_leaves_a_rest_is_refused_with_the_remedy(size: int) -> None:
    layer = GhostBatchNorm(3, size)
    with pytest.raises(ValueError, match=f"8 examples cannot be cut into virtual batches of {size}: choose a batch si"):
        layer(torch.randn(8, 3))
    assert layer.eval()(torch.randn(8, 3)).shape == (8, 3)


def test_a_batch_size_that_leaves_a_rest_is_refused_before_a_run_starts() -> None:
    run = compose("data=digits", "normalizer=ghost_batch", "normalizer.size=24")
    with pytest.raises(ConfigurationError, match="64 examples cannot be cut into virtual batches of 24"):
        build(run.settings)


def test_virtual_batches_of_one_value_per_feature_are_refused_and_of_one_image_are_not() -> None:
    layer = GhostBatchNorm(3, size=1)
    with pytest.raises(ValueError, match="at most one value per feature"):
        layer(torch.randn(8, 3))
    inputs = torch.randn(8, 3, 4, 4)
    torch.testing.assert_close(layer(inputs), nn.InstanceNorm2d(3)(inputs), rtol=1e-4, atol=1e-5)


def test_a_size_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        GhostBatchNorm(3, size=0)


def test_of_several_processes_each_cuts_its_own_part() -> None:
    network = nn.ModuleDict({"normalizer": GhostBatchNorm(2, size=32)})
    assert [get_statistics_batch(network, 128, processes)["normalizer"] for processes in (1, 2, 4, 8)] == [32] * 3 + [
        16
    ]
    with pytest.raises(ValueError, match="48 examples cannot be cut"):
        get_statistics_batch(network, 96, 2)


def test_a_run_records_the_size_without_a_warning_and_measures_the_lag(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    overrides = ("data=digits", "model=mlp", "model.hidden=[8]", "normalizer=ghost_batch", "steps=2")
    train(compose(*overrides, "observe.normalizers={first: 2, every: 2}", f"output_root={tmp_path}"))
    (directory,) = (tmp_path / "single" / "runs").iterdir()
    assert json.loads((directory / "run.json").read_text())["statistics_batch"] == {"hidden.0": 32}
    assert "takes its statistics" not in caplog.text
    names = {row["name"] for row in csv.DictReader((directory / "metrics.csv").open())}
    assert {"normalizer/hidden.0/mean_offset", "normalizer/hidden.0/variance_ratio"} <= names
