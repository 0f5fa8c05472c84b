"""Normalization by p-norms, and by the mean alone, against PyTorch's layer and formulas in float64."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import normlab
from normlab.normalizers import LpBatchNorm, MeanOnlyBatchNorm

from .test_batch_norm import assert_same_training, both_ranks, random_batches, torch_layer, trained


@both_ranks
def test_with_p_two_training_is_that_of_the_layer_of_pytorch(rank: str) -> None:
    batches = random_batches(rank)
    expected = dict(trained(torch_layer(rank).double(), batches))
    for name, value in trained(LpBatchNorm(3, p=2).double(), batches):
        if "running_scale" not in name and "inference" not in name:
            torch.testing.assert_close(value, expected[name], rtol=1e-10, atol=1e-10)


class ByFormula(nn.Module):
    """Centred, and divided by a scale unless it is None; the running averages of mean and scale serve in inference."""

    running_mean: Tensor
    running_scale: Tensor

    def __init__(self, scale_of: Any = None) -> None:
        super().__init__()
        if scale_of is not None:
            self.weight = nn.Parameter(torch.ones(3))
        self.bias = nn.Parameter(torch.zeros(3))
        self.register_buffer("running_mean", torch.zeros(3))
        if scale_of is not None:
            self.register_buffer("running_scale", torch.ones(3))
        self.scale_of = scale_of

    def forward(self, x: Tensor) -> Tensor:
        rows = x.movedim(1, -1).flatten(0, -2)  # (values, C)
        mean = rows.mean(0) if self.training else self.running_mean
        if self.training:
            self.running_mean = 0.9 * self.running_mean + 0.1 * mean.detach()
        outputs = rows - mean
        if self.scale_of is not None:
            scale = self.scale_of(outputs) if self.training else self.running_scale
            if self.training:
                self.running_scale = 0.9 * self.running_scale + 0.1 * scale.detach()
            outputs = outputs / scale * self.weight
        outputs = outputs + self.bias
        return outputs.view(len(x), *x.shape[2:], 3).movedim(-1, 1)


@both_ranks
@pytest.mark.parametrize(
    ("choice", "settings", "scale_of"),
    [
        ("lp_batch", {}, lambda x: x.abs().mean(0) + 1e-5),
        ("lp_batch", {"p": 3.0, "eps": 0.1}, lambda x: ((x.abs() ** 3).mean(0) + 0.1) ** (1 / 3)),
        ("l1_batch", {"eps": 0.0}, lambda x: math.sqrt(math.pi / 2) * x.abs().mean(0)),
        ("linf_batch", {}, lambda x: x.abs().amax(0) + 1e-5),
        ("mean_only_batch", {}, None),
    ],
    ids=["1", "3", "1 with a factor", "inf", "mean only"],
)
def test_training_and_inference_match_the_formula(
    rank: str, choice: str, settings: dict[str, float], scale_of: Any
) -> None:
    ours = normlab.normalizer(choice, 3, **settings).double()
    assert_same_training(ours, ByFormula(scale_of).double(), random_batches(rank), atol=1e-10)


def test_the_factor_of_hoffer_et_al_makes_the_scale_of_normal_values_their_deviation() -> None:
    inputs = 5 + 3 * torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0))
    outputs = normlab.normalizer("l1_batch", 2)(inputs)
    torch.testing.assert_close(outputs.std(0), torch.ones(2), rtol=0, atol=0.01)


@pytest.mark.parametrize("settings", [{"p": 0.5}, {"p": math.nan}, {"factor": 0.0}, {"factor": math.inf}], ids=str)
def test_what_is_no_norm_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be"):
        LpBatchNorm(3, **settings)


def test_centring_alone_leaves_the_scale_of_features() -> None:
    (inputs,) = random_batches("4-D", 1)
    outputs = MeanOnlyBatchNorm(3).double()(inputs)
    torch.testing.assert_close(outputs.std((0, 2, 3)), inputs.std((0, 2, 3)))
    torch.testing.assert_close(outputs.mean((0, 2, 3)), torch.zeros(3, dtype=torch.float64))
