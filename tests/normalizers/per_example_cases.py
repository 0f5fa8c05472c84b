"""The normalizers that need no batch, their formulas, and inputs for them."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from normlab.normalizers import (
    DynamicErf,
    DynamicTanh,
    EvoNormS0,
    FilterResponseNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    RMSNorm,
)

FEATURES = 6
SHAPES = [(4, FEATURES), (4, FEATURES, 5), (4, FEATURES, 5, 3)]


class Case(NamedTuple):
    """A class with settings, and whether it takes inputs (N, C)."""

    layer_class: type[nn.Module]
    settings: dict[str, Any]
    takes_vectors: bool = True

    def build(self, features: int = FEATURES, **changes: Any) -> nn.Module:
        return self.layer_class(features, **{**self.settings, **changes})


CASES = {
    "layer": Case(LayerNorm, {}),
    "layer_channels": Case(LayerNorm, {"per_position": True}),
    "group": Case(GroupNorm, {}, takes_vectors=False),
    "two groups": Case(GroupNorm, {"groups": 2}),
    "instance": Case(InstanceNorm, {}, takes_vectors=False),
    "rms": Case(RMSNorm, {}),
    "rms_channels": Case(RMSNorm, {"per_position": True}),
    "filter_response": Case(FilterResponseNorm, {}, takes_vectors=False),
    "filter_response with a learned eps": Case(FilterResponseNorm, {"learnable_eps": True}),
    "evonorm_s0": Case(EvoNormS0, {}, takes_vectors=False),
    "evonorm_s0 of two groups": Case(EvoNormS0, {"groups": 2}),
    "dynamic_tanh": Case(DynamicTanh, {}),
    "dynamic_erf": Case(DynamicErf, {}),
}


def list_shapes(case: Case) -> list[tuple[int, ...]]:
    """Return the shapes that a case takes."""
    return SHAPES if case.takes_vectors else SHAPES[1:]


def draw(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Draw values of mean 1 and standard deviation 2."""
    return 1 + 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@torch.no_grad()
def draw_parameters(layer: nn.Module) -> None:
    """Give a layer parameters that differ from their initial values and from one another."""
    generator = torch.Generator().manual_seed(1)
    for parameter in layer.parameters():
        parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter))


def affine(layer: nn.Module, values: Tensor) -> Tensor:
    """Return γ · values + β, without the parts that a layer lacks."""
    by_channel = (-1, *[1] * (values.ndim - 2))
    for name in ("weight", "bias"):
        part = getattr(layer, name)
        if part is not None:
            values = values * part.view(by_channel) if name == "weight" else values + part.view(by_channel)
    return values


def mean_of(values: Tensor, groups: int) -> Tensor:
    """Return the mean of each group of channels with all positions, in the shape of values."""
    grouped = values.reshape(len(values), groups, -1)
    return grouped.mean(-1, keepdim=True).expand_as(grouped).reshape(values.shape)


def formula(layer: Any, x: Tensor) -> Tensor:
    """Return what the equations of the papers say, one line each."""
    by_channel = (-1, *[1] * (x.ndim - 2))
    match layer:
        case GroupNorm() | InstanceNorm() | LayerNorm():
            if isinstance(layer, LayerNorm) and layer.per_position:
                mean, variance = x.mean(1, keepdim=True), x.var(1, correction=0, keepdim=True)
            else:
                groups = {GroupNorm: getattr(layer, "groups", 0), InstanceNorm: FEATURES, LayerNorm: 1}[type(layer)]
                mean = mean_of(x, groups)
                variance = mean_of((x - mean) ** 2, groups)
            return affine(layer, (x - mean) / (variance + layer.eps).sqrt())
        case RMSNorm():
            square = (x**2).mean(1, keepdim=True) if layer.per_position else mean_of(x**2, 1)
            return affine(layer, x / (square + layer.eps).sqrt())
        case FilterResponseNorm():
            eps = layer.eps if layer.learned_eps is None else layer.eps + layer.learned_eps.abs()
            y = affine(layer, x / (mean_of(x**2, FEATURES) + eps).sqrt())
            return torch.where(y > layer.threshold.view(by_channel), y, layer.threshold.view(by_channel))
        case EvoNormS0():
            variance = mean_of(x**2, layer.groups) - mean_of(x, layer.groups) ** 2
            gate = 1 / (1 + torch.exp(-layer.v.view(by_channel) * x))
            return affine(layer, x * gate / (variance + layer.eps).sqrt())
        case DynamicErf():
            return affine(layer, 2 * torch.special.ndtr(2**0.5 * (layer.alpha * x + layer.offset)) - 1)
        case _:
            e = torch.exp(2 * layer.alpha * x)
            return affine(layer, (e - 1) / (e + 1))
