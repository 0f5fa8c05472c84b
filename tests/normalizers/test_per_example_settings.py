"""Settings of normalizers of single examples, and inputs that they refuse."""

import re
from typing import Any

import pytest
import torch
from torch import nn

import normlab
from normlab.models.layers import make_convolution_block

from .per_example_cases import CASES, FEATURES, Case


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_scale_and_shift_start_as_set_and_are_left_out_if_off(case: Case) -> None:
    layer = case.build(scale=True, shift=True, initial_scale=0.1, initial_shift=-2.0)
    assert torch.equal(layer.get_parameter("weight"), torch.full((FEATURES,), 0.1))
    assert torch.equal(layer.get_parameter("bias"), torch.full((FEATURES,), -2.0))
    assert {"weight", "bias"}.isdisjoint(dict(case.build(scale=False, shift=False).named_parameters()))


REFUSED = [
    ("instance", (4, 6), {}, "(4, 6) are over 1 value, too few to normalize with: use normalizer=layer"),
    ("instance", (4, 6, 1, 1), {}, "over 1 value"),
    ("instance", (4, 6, 0), {}, "over 0 values"),
    ("instance", (4, 6, 2), {}, "over 2 values"),
    ("group", (4, 6), {}, "over 2 values, too few to normalize with: set normalizer.groups to 1 or 2"),
    ("group", (4, 12, 1, 1), {}, "set normalizer.groups to 1, 2, 3 or 4"),
    ("group", (4, 6), {"channels_per_group": 1}, "over 1 value, too few"),
    ("group", (4, 2), {}, "over 2 values, too few to normalize with: use more features"),
    ("layer", (4, 1), {}, "over 1 value, too few to normalize with: use more features"),
    ("layer", (4, 2, 1), {}, "over 2 values, too few to normalize with: use more features"),
    ("layer_channels", (4, 2, 5, 5), {}, "over 2 values, too few to normalize with: use normalizer=layer"),
    ("rms", (4, 1), {}, "over 1 value, too few to normalize with: use more features"),
    ("rms_channels", (4, 1, 5), {}, "over 1 value, too few to normalize with: use normalizer=rms"),
    ("filter_response", (4, 6), {}, "over 1 value, too few to normalize with: set normalizer.learnable_eps to true"),
    (
        "evonorm_s0",
        (4, 6),
        {"groups": 6},
        "over 1 value, too few to normalize with: set normalizer.groups to 1 or 2",
    ),
]


@pytest.mark.parametrize(("choice", "shape", "settings", "message"), REFUSED)
@pytest.mark.parametrize("training", [True, False])
def test_inputs_whose_outputs_would_be_signs_alone_are_refused_with_a_remedy(
    choice: str, shape: tuple[int, ...], settings: dict[str, Any], message: str, training: bool
) -> None:
    layer = normlab.normalizer(choice, shape[1], **settings).train(training)
    with pytest.raises(ValueError, match=re.escape(message)):
        layer(torch.randn(shape))


@pytest.mark.parametrize("choice", ["group", "evonorm_s0"])
@pytest.mark.parametrize("key", ["groups", "channels_per_group"])
@pytest.mark.parametrize("number", [4, 0, -1, 7])
def test_a_number_that_does_not_divide_the_channels_is_refused_with_those_that_do(
    choice: str, key: str, number: int
) -> None:
    message = f"normalizer.{key} must divide the 6 channels of a layer, got {number}: set it to 1, 2, 3 or 6"
    with pytest.raises(ValueError, match=re.escape(message)):
        normlab.normalizer(choice, 6, **{key: number})


@pytest.mark.parametrize("choice", ["group", "evonorm_s0"])
def test_a_number_of_groups_replaces_the_size_of_one(choice: str) -> None:
    assert [normlab.normalizer(choice, 12, **keys).groups for keys in ({}, {"groups": 2})] == [6, 2]


@pytest.mark.parametrize(
    ("choice", "linear_bias", "activation"),
    [
        ("instance", False, nn.ReLU),
        ("layer", True, nn.ReLU),
        ("filter_response", True, nn.Identity),
        ("evonorm_s0", True, nn.Identity),
    ],
)
def test_a_block_has_neither_a_bias_that_is_cancelled_nor_a_second_activation(
    choice: str, linear_bias: bool, activation: type[nn.Module]
) -> None:
    block = make_convolution_block(1, 6, 3, lambda features: normlab.normalizer(choice, features), "relu")
    assert (block.linear_map.bias is not None) == linear_bias
    assert type(block.activation) is activation
