"""What is told of normalizers agrees with what a plain pass through the layers below shows, and moves nothing."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from normlab.measurements.normalizer_statistics import measure_normalizers
from normlab.models import MLP
from normlab.models.layers import Block
from normlab.normalizers import BatchNorm


@pytest.fixture
def images() -> Tensor:
    return torch.randn(500, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 3 + 1


def perceptron(normalizer: Callable[[int], nn.Module] = BatchNorm, hidden: tuple[int, ...] = (8, 6)) -> MLP:
    torch.manual_seed(0)
    return MLP(input_shape=(1, 4, 4), num_classes=3, normalizer=normalizer, hidden=hidden)


def first_layer(network: nn.Module) -> Block:
    return next(module for module in network.modules() if isinstance(module, Block))


def test_percentiles_are_those_of_the_linear_map_before_the_normalizer(images: Tensor) -> None:
    network = perceptron()
    found = measure_normalizers(network, images)
    values = first_layer(network).linear_map(images.flatten(start_dim=1))
    for percent in (15, 50, 85):
        assert found[f"normalizer/hidden.0/input_p{percent}"] == pytest.approx(
            torch.quantile(values.detach(), percent / 100).item(), abs=1e-5
        )


def test_a_network_without_normalization_has_percentiles_alone(images: Tensor) -> None:
    names = set(measure_normalizers(perceptron(lambda features: nn.Identity()), images))
    assert names == {f"normalizer/hidden.{layer}/input_p{percent}" for layer in (0, 1) for percent in (15, 50, 85)}


def test_averages_that_have_taken_over_the_sample_are_settled(images: Tensor) -> None:
    network = perceptron(lambda features: BatchNorm(features, momentum=1.0, averaged_variance="biased"))
    network.train()
    network(images)
    found = measure_normalizers(network, images)
    for layer in ("hidden.0", "hidden.1"):
        assert found[f"normalizer/{layer}/mean_offset"] == pytest.approx(0, abs=1e-5)
        assert found[f"normalizer/{layer}/variance_ratio"] == pytest.approx(1, rel=1e-5)


def test_fresh_averages_are_off_by_the_formula(images: Tensor) -> None:
    network = perceptron()
    found = measure_normalizers(network, images)
    values = first_layer(network).linear_map(images.flatten(start_dim=1)).detach().double()
    variance, mean = values.var(dim=0, correction=0) + 1e-5, values.mean(dim=0)
    offset = (mean.square() / variance).mean().sqrt().item()
    ratio = ((1 + 1e-5) / variance).log().mean().exp().item()
    assert found["normalizer/hidden.0/mean_offset"] == pytest.approx(offset, rel=1e-4)
    assert found["normalizer/hidden.0/variance_ratio"] == pytest.approx(ratio, rel=1e-4)


def test_a_network_in_double_or_half_precision_has_the_statistics_of_one_in_single_precision(images: Tensor) -> None:
    network = perceptron()
    expected = measure_normalizers(network, images)
    for dtype, tolerance in ((torch.float64, 1e-4), (torch.bfloat16, 0.05)):
        found = measure_normalizers(copy.deepcopy(network).to(dtype), images.to(dtype))
        assert found == pytest.approx(expected, rel=tolerance, abs=tolerance)


def test_looking_changes_neither_the_network_nor_the_random_stream(images: Tensor) -> None:
    network = perceptron(lambda features: nn.Sequential(BatchNorm(features), nn.Dropout(0.5))).eval()
    before = {name: values.clone() for name, values in network.state_dict().items()}
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    measure_normalizers(network, images)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())
    assert not any(module.training for module in network.modules())


def test_a_normalizer_that_sums_over_processes_is_described_in_this_one_alone(images: Tensor) -> None:
    network = perceptron()
    alone = measure_normalizers(network, images)
    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.synchronized = True  # would wait for processes that there are none of
    assert measure_normalizers(network, images) == alone
    assert all(module.synchronized for module in network.modules() if isinstance(module, BatchNorm))


def test_percentiles_of_a_large_layer_see_every_feature() -> None:
    network = perceptron(hidden=(250,))
    linear_map = first_layer(network).linear_map
    assert isinstance(linear_map, nn.Linear)
    nn.init.zeros_(linear_map.weight)
    linear_map.bias = nn.Parameter(torch.linspace(0, 1, 250))
    found = measure_normalizers(network, torch.zeros(1000, 1, 4, 4))
    for percent in (15, 50, 85):
        assert found[f"normalizer/hidden.0/input_p{percent}"] == pytest.approx(percent / 100, abs=0.01)
