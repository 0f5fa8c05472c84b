"""EvoNorm-B0 against timm's layer and the formula of the paper."""

from typing import Any

import pytest
import torch
from network_libraries import import_network_library
from torch import nn

from normlab.models.layers import make_dense_block
from normlab.normalizers import EvoNormB0

from .test_batch_norm import assert_same_training, random_batches


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.3, "eps": 1e-5}], ids=str)
def test_training_and_inference_match_the_layer_of_timm(settings: dict[str, Any]) -> None:
    reference: nn.Module = import_network_library("timm.layers").EvoNorm2dB0(3, **settings)
    batches = random_batches("4-D", dtype=torch.float32)
    assert_same_training(EvoNormB0(3, **settings), reference, batches, atol=2e-4)


def test_outputs_match_the_formula_in_float64() -> None:
    layer = EvoNormB0(3).double()
    with torch.no_grad():
        layer.v.copy_(torch.tensor([0.5, -1.0, 2.0]))
    (x,) = random_batches("4-D", 1)
    batch = ((x - x.mean((0, 2, 3), True)) ** 2).mean((0, 2, 3), True)
    example = ((x - x.mean((2, 3), True)) ** 2).mean((2, 3), True)
    divisor = torch.maximum((batch + 1e-3).sqrt(), layer.v.view(3, 1, 1) * x + (example + 1e-3).sqrt())
    torch.testing.assert_close(layer(x), x / divisor, rtol=1e-12, atol=1e-12)


def test_a_single_position_has_no_variance_within_an_example() -> None:
    flat, images = EvoNormB0(3).double(), EvoNormB0(3).double()
    for x in random_batches("2-D"):
        outputs = flat(x)
        torch.testing.assert_close(outputs, images(x[:, :, None, None])[:, :, 0, 0])
        expected = x / torch.maximum((x.var(0, correction=0) + 1e-3).sqrt(), x + 1e-3**0.5)
        torch.testing.assert_close(outputs, expected)


def test_a_block_has_no_other_activation() -> None:
    assert isinstance(make_dense_block(4, 3, EvoNormB0, "relu").activation, nn.Identity)
