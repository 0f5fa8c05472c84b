"""Weight normalization and standardization against torch, timm and their formulas, in layers and whole runs."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from network_libraries import import_network_library
from torch import Tensor, nn

from normlab.config.compose import compose
from normlab.errors import ConfigurationError
from normlab.models import ScaledWeightStandardization, WeightNorm, WeightStandardization, reparametrize
from normlab.population.check import reason_not_vectorizable
from normlab.training.build import build

from ..choices import choices_of
from ..resumption import assert_resumes_exactly

SHAPES = [(5, 7), (4, 3, 3, 2)]

every_choice = pytest.mark.parametrize("choice", choices_of("reparametrization"))
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=["dense", "convolution"])


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear_map(shape: tuple[int, ...]) -> nn.Linear | nn.Conv2d:
    layer: nn.Linear | nn.Conv2d = (
        nn.Linear(shape[1], shape[0]) if len(shape) == 2 else nn.Conv2d(shape[1], shape[0], shape[2:])  # type: ignore[arg-type]
    )
    layer.double()
    with torch.no_grad():
        layer.weight.copy_(draw(*shape))
        layer.get_parameter("bias").copy_(draw(shape[0], seed=1))
    return layer


def inputs_of(layer: nn.Linear | nn.Conv2d, step: int) -> Tensor:
    return draw(6, layer.weight.shape[1], *(() if layer.weight.ndim == 2 else (5, 4)), seed=step + 1)


def train(layer: nn.Linear | nn.Conv2d, steps: int = 5) -> list[Tensor]:
    """Return the outputs before each of some updates."""
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    seen = []
    for step in range(steps):
        optimizer.zero_grad()
        outputs = layer(inputs_of(layer, step))
        seen.append(outputs.detach())
        outputs.square().mean().backward()
        optimizer.step()
    return seen


@every_shape
def test_weight_norm_trains_as_that_of_torch(shape: tuple[int, ...]) -> None:
    ours, theirs = linear_map(shape), linear_map(shape)
    reparametrize(ours, WeightNorm)
    torch.nn.utils.parametrizations.weight_norm(theirs)
    for one, other in zip(train(ours), train(theirs), strict=True):
        torch.testing.assert_close(one, other)


@every_shape
def test_weight_norm_starts_from_the_weights_that_were_drawn(shape: tuple[int, ...]) -> None:
    layer = linear_map(shape)
    before = layer.weight.clone()
    reparametrize(layer, WeightNorm)
    torch.testing.assert_close(layer.weight, before)


@every_shape
def test_standardized_weights_follow_the_code_of_the_paper(shape: tuple[int, ...]) -> None:
    weight = draw(*shape)
    centred = weight - weight.flatten(1).mean(1).view(-1, *[1] * (weight.ndim - 1))
    deviation = centred.flatten(1).std(1).view(-1, *[1] * (weight.ndim - 1)) + 1e-5
    torch.testing.assert_close(WeightStandardization()(weight), centred / deviation, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("StdConv2d", partial(WeightStandardization, 1e-6, unbiased=False, eps_inside_root=True, output=True)),
        ("ScaledStdConv2d", partial(ScaledWeightStandardization, 1.5, output=True)),
    ],
)
def test_standardized_convolutions_train_as_those_of_timm(name: str, ours: Callable[[], nn.Module]) -> None:
    settings = {"gamma": 1.5} if name == "ScaledStdConv2d" else {}
    theirs = getattr(import_network_library("timm.layers"), name)(3, 4, 3, **settings).double()
    layer = nn.Conv2d(3, 4, 3, padding=1, bias=theirs.bias is not None).double()
    layer.load_state_dict({name: value for name, value in theirs.state_dict().items() if name != "gain"})
    reparametrize(layer, ours)
    for one, other in zip(train(layer), train(theirs), strict=True):
        torch.testing.assert_close(one, other)


@every_shape
@pytest.mark.parametrize("build_one", [WeightStandardization, ScaledWeightStandardization])
@given(factor=st.floats(0.1, 10), term=st.floats(-10, 10))
def test_scale_and_shift_of_the_weights_of_an_output_do_not_matter_to_standardization(
    build_one: Callable[..., nn.Module], shape: tuple[int, ...], factor: float, term: float
) -> None:
    standardize = build_one(eps=0.0)
    torch.testing.assert_close(standardize(factor * draw(*shape) + term), standardize(draw(*shape)))


@every_shape
def test_scaled_standardization_keeps_the_variance_of_activations(shape: tuple[int, ...]) -> None:
    weight = draw(512, *shape[1:])
    standardized = ScaledWeightStandardization(gamma=1.0, eps=0.0)(weight)
    torch.testing.assert_close(standardized.flatten(1).square().sum(1), torch.ones(512, dtype=torch.float64))


def test_the_last_linear_map_is_left_out_unless_asked_for() -> None:
    network = nn.Sequential(linear_map((5, 7)), nn.ReLU(), linear_map((3, 5)))
    other = copy.deepcopy(network)
    reparametrize(network, WeightStandardization)
    reparametrize(other, partial(WeightStandardization, output=True))
    assert [hasattr(layer, "parametrizations") for layer in network] == [True, False, False]
    assert [hasattr(layer, "parametrizations") for layer in other] == [True, False, True]


def test_weights_without_a_direction_are_an_error_that_names_them() -> None:
    network = nn.Sequential(linear_map((5, 7)), linear_map((3, 5)))
    nn.init.zeros_(network.get_parameter("1.weight"))
    with pytest.raises(ValueError, match=r"^1\.weight: all weights of an output start at 0.*reparametrization=none"):
        reparametrize(network, WeightNorm)


def test_a_weight_per_output_cannot_be_standardized() -> None:
    with pytest.raises(ConfigurationError, match=r"from_input\.weight: a weight per output has no standard deviation"):
        build(compose("data=digits", "model=lstm", "model.reads=pixels", *choose("weight_standardization")).settings)


def choose(choice: str, seed: int = 0) -> tuple[str, ...]:
    return (f"reparametrization={choice}", f"seed={seed}", "steps=8")


def settings_of(choice: str, seed: int = 0) -> Any:
    return compose("data=digits", "model.hidden=[5]", *choose(choice, seed)).settings


@every_choice
def test_a_run_resumed_from_its_checkpoint_ends_with_the_same_bits(choice: str) -> None:
    assert_resumes_exactly(settings_of(choice))


@every_choice
def test_seeds_train_together(choice: str) -> None:
    assert reason_not_vectorizable([build(settings_of(choice, seed)).module.train() for seed in (0, 1)]) is None
