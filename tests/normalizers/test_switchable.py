"""Switchable normalization against the layers it is a mixture of and the formulas of the paper."""

import pytest
import torch
from torch import Tensor, nn

from normlab.normalizers import BatchNorm, SwitchableNorm

from .test_batch_norm import assert_same_training, random_batches

CERTAIN = 1e3
"""A weight before the softmax beside which one of 0 has no share."""


def only(kind: int) -> SwitchableNorm:
    layer = SwitchableNorm(3).double()
    with torch.no_grad():
        for weights in (layer.mean_weight, layer.var_weight):
            weights.copy_(CERTAIN * torch.eye(3)[kind])
    return layer


@pytest.mark.parametrize(
    ("kind", "reference"),
    [(0, nn.InstanceNorm2d(3)), (1, nn.GroupNorm(1, 3)), (2, BatchNorm(3, averaged_variance="biased"))],
    ids=["instance", "layer", "batch"],
)
def test_with_all_weight_on_one_kind_it_is_that_layer(kind: int, reference: nn.Module) -> None:
    layer, reference = only(kind), reference.double()
    for batch in random_batches("4-D"):
        torch.testing.assert_close(layer(batch), reference(batch))
    torch.testing.assert_close(layer.eval()(batch), reference.eval()(batch))


class ByFormula(nn.Module):
    """Equations 3 to 5 with a sum for each moment."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(3)), nn.Parameter(torch.zeros(3))
        self.mean_weight, self.var_weight = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
        self.register_buffer("running_mean", torch.zeros(3))
        self.register_buffer("running_var", torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        areas = [(2, 3), (1, 2, 3), (0, 2, 3)]
        means = [x.mean(area, keepdim=True) for area in areas]
        variances = [((x - mean) ** 2).mean(area, keepdim=True) for mean, area in zip(means, areas, strict=True)]
        if self.training:
            self.running_mean = 0.9 * self.running_mean + 0.1 * means[2].detach().view(3)
            self.running_var = 0.9 * self.running_var + 0.1 * variances[2].detach().view(3)
        else:
            means[2], variances[2] = self.running_mean.view(1, 3, 1, 1), self.running_var.view(1, 3, 1, 1)
        w, w_ = self.mean_weight.exp(), self.var_weight.exp()
        mean = (w[0] * means[0] + w[1] * means[1] + w[2] * means[2]) / w.sum()
        variance = (w_[0] * variances[0] + w_[1] * variances[1] + w_[2] * variances[2]) / w_.sum()
        return (x - mean) / (variance + 1e-5).sqrt() * self.weight.view(3, 1, 1) + self.bias.view(3, 1, 1)


def test_training_with_its_weights_and_inference_match_the_formulas() -> None:
    assert_same_training(SwitchableNorm(3).double(), ByFormula().double(), random_batches("4-D"), atol=1e-10)


@pytest.mark.parametrize("positions", [(), (1,), (1, 1)])
def test_an_instance_of_one_value_is_left_out_of_the_mixture(positions: tuple[int, ...]) -> None:
    layer, certain_of_instance = SwitchableNorm(3).double(), only(0)
    (inputs,) = random_batches("2-D", 1)
    mean = (inputs.mean(0) + inputs.mean(1, keepdim=True)) / 2
    variance = (inputs.var(0, correction=0) + inputs.var(1, correction=0, keepdim=True)) / 2
    expected = ((inputs - mean) / (variance + 1e-5).sqrt()).view(*inputs.shape, *positions)
    for each in (layer, certain_of_instance):
        torch.testing.assert_close(each(inputs.view(*inputs.shape, *positions)), expected)
