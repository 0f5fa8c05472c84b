"""Laws, errors and inference of all normalizers with statistics of the batch."""

import copy
import re
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import normlab
from normlab.measurements.normalizer_statistics import measure_normalizers
from normlab.models import MLP
from normlab.normalizers import BatchNorm, BatchNormByFormula, BatchStatisticsNormalizer, get_statistics_batch
from normlab.randomness import generator

from ..choices import choices_of, normalizer_named

CHOICES = [
    name
    for name in choices_of("normalizer")
    if isinstance(layer := normalizer_named(name)(6), BatchStatisticsNormalizer)
    and type(layer) not in (BatchNorm, BatchNormByFormula)  # see test_batch_norm.py
]
CENTRING = [name for name in CHOICES if normalizer_named(name)(6).state_dict().keys() & {"running_mean"}]
SCALING = [name for name in CHOICES if name != "mean_only_batch"]
every_choice = pytest.mark.parametrize("choice", CHOICES)
every_centring_choice = pytest.mark.parametrize("choice", CENTRING)
every_scaling_choice = pytest.mark.parametrize("choice", SCALING)
of_every_case = settings(deadline=None, max_examples=25)
shapes = st.one_of(
    st.tuples(st.integers(2, 9), st.integers(2, 4)),
    st.tuples(st.integers(2, 9), st.integers(2, 4), st.integers(2, 4), st.integers(1, 3)),
)
seeds = st.integers(0, 2**31 - 1)


def draw(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed, "inputs"), dtype=torch.float64)


@every_centring_choice
@given(shapes, seeds, st.floats(-5, 5))
@of_every_case
def test_a_constant_added_to_all_values_cancels_in_training(
    choice: str, shape: tuple[int, ...], seed: int, constant: float
) -> None:
    plain, moved = (normalizer_named(choice)(shape[1]).double() for _ in range(2))
    inputs = draw(shape, seed)
    torch.testing.assert_close(moved(inputs + constant), plain(inputs), rtol=1e-7, atol=1e-7)


@every_scaling_choice
@given(shapes, seeds, st.floats(0.1, 10))
@of_every_case
def test_with_an_eps_too_small_to_count_a_positive_factor_of_all_values_cancels_in_training(
    choice: str, shape: tuple[int, ...], seed: int, factor: float
) -> None:
    plain, scaled = (normalizer_named(choice)(shape[1]).double() for _ in range(2))
    plain.eps = scaled.eps = 1e-30  # the kernels of BatchNorm refuse 0
    inputs = draw(shape, seed)
    torch.testing.assert_close(scaled(factor * inputs), plain(inputs), rtol=1e-7, atol=1e-7)


@every_choice
def test_positions_in_a_row_are_normalized_like_those_of_an_image(choice: str) -> None:
    rows, images = (normalizer_named(choice)(3).double() for _ in range(2))
    for inputs in (draw((4, 3, 6), seed) for seed in range(3)):
        torch.testing.assert_close(rows(inputs), images(inputs[:, :, None])[:, :, 0], rtol=1e-12, atol=1e-12)
    expected = images.eval()(inputs[:, :, None])[:, :, 0]
    torch.testing.assert_close(rows.eval()(inputs), expected, rtol=1e-12, atol=1e-12)


@every_choice
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_computed_in_float32_and_rounded_once(choice: str, half: torch.dtype, training: bool) -> None:
    layer = normalizer_named(choice)(3).train(training)
    # In float16 the squares of these would overflow, and in bfloat16 differences from their mean be lost.
    inputs = (300 + 40 * draw((16, 3, 5, 4))).to(half)
    expected = copy.deepcopy(layer)(inputs.float())
    outputs = layer(inputs)
    assert outputs.dtype == half
    assert {value.dtype for value in layer.state_dict().values() if value.is_floating_point()} == {torch.float32}
    torch.testing.assert_close(outputs.float(), expected, rtol=torch.finfo(half).eps / 2, atol=1e-5)


@every_choice
@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1)])
def test_a_batch_of_one_is_refused_in_training_alone_with_the_error_of_batch_normalization(
    choice: str, shape: tuple[int, ...]
) -> None:
    layer = normalizer_named(choice)(3)
    with pytest.raises(ValueError, match="batch of shape") as expected:
        BatchNorm(3)(torch.ones(shape))
    with pytest.raises(ValueError, match=re.escape(str(expected.value))):
        layer(torch.ones(shape))
    assert layer.eval()(torch.ones(shape)).shape == shape


@every_choice
def test_scale_and_shift_start_where_they_are_told_to_and_can_be_left_out(choice: str) -> None:
    bare = normlab.normalizer(choice, 3, shift=False, **({"scale": False} if choice in SCALING else {}))
    assert not bare.state_dict().keys() & {"weight", "bias"}
    started: dict[str, Any] = {"initial_shift": -2.0} | ({"initial_scale": 0.1} if choice in SCALING else {})
    layer = normlab.normalizer(choice, 3, **started)
    if choice != "noisy_batch":  # which adds its noise to both
        factor = started.get("initial_scale", 1.0)
        inputs = draw((8, 3, 4, 4)).float()
        torch.testing.assert_close(layer(inputs), factor * bare(inputs) - 2.0)


@every_choice
@pytest.mark.parametrize("setting", [{"momentum": -0.1}, {"momentum": 1.1}, {"eps": -1e-5}, {"eps": float("inf")}])
def test_a_setting_out_of_range_is_named(choice: str, setting: dict[str, float]) -> None:
    if choice in SCALING or "momentum" in setting:
        with pytest.raises(ValueError, match=next(iter(setting))):
            normlab.normalizer(choice, 3, **setting)


@every_choice
def test_the_lag_of_those_averages_that_it_has_is_measured(choice: str) -> None:
    network = MLP(input_shape=(1, 4, 4), num_classes=3, normalizer=normalizer_named(choice), hidden=(6,))
    images = torch.randn(1001, 1, 4, 4, generator=generator(0, "images"))
    found = {name.rpartition("/")[2] for name in measure_normalizers(network, images)}
    averages = {"running_mean": "mean_offset", "running_var": "variance_ratio"}
    kept = dict(network.hidden[0].named_buffers())
    expected = {measured for average, measured in averages.items() if f"normalizer.{average}" in kept}
    assert found == {"input_p15", "input_p50", "input_p85", *expected}


@every_choice
def test_the_record_tells_how_many_examples_its_statistics_are_of(choice: str) -> None:
    network = nn.ModuleDict({"normalizer": normalizer_named(choice)(2)})
    part = 32 if choice == "ghost_batch" else 64
    assert get_statistics_batch(network, 64, 1) == {"normalizer": part}
    assert get_statistics_batch(network, 64, 4) == {"normalizer": 16}
