"""Normalizers of single examples against the layers of PyTorch and timm, and against their formulas in float64."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from network_libraries import OverLastAxis, import_network_library
from torch import Tensor, nn

from .per_example_cases import CASES, FEATURES, SHAPES, Case, draw, draw_parameters, formula, list_shapes

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
every_input = pytest.mark.parametrize(
    ("case", "shape"),
    [pytest.param(case, shape, id=f"{name}-{shape}") for name, case in CASES.items() for shape in list_shapes(case)],
)
half_types = pytest.mark.parametrize("half", [torch.bfloat16, torch.float16], ids=str)


def timm(name: str, **settings: Any) -> nn.Module:
    layer: nn.Module = getattr(import_network_library("timm.layers"), name)(FEATURES, **settings)
    return layer


LIBRARY_LAYERS: dict[str, tuple[str, Callable[[], nn.Module], list[int]]] = {
    "torch GroupNorm of one group": ("layer", lambda: nn.GroupNorm(1, FEATURES), [2, 3, 4]),
    "torch LayerNorm of vectors": ("layer", lambda: nn.LayerNorm(FEATURES), [2]),
    "torch LayerNorm": ("layer_channels", lambda: OverLastAxis(nn.LayerNorm(FEATURES)), [2, 3, 4]),
    "timm LayerNorm2d": ("layer_channels", lambda: timm("LayerNorm2d", eps=1e-5), [4]),
    "torch GroupNorm": ("group", lambda: nn.GroupNorm(3, FEATURES), [3, 4]),
    "timm GroupNorm": ("two groups", lambda: timm("GroupNorm", num_groups=2), [2, 3, 4]),
    "torch InstanceNorm1d": ("instance", lambda: nn.InstanceNorm1d(FEATURES, affine=True), [3]),
    "torch InstanceNorm2d": ("instance", lambda: nn.InstanceNorm2d(FEATURES, affine=True), [4]),
    "torch RMSNorm of vectors": ("rms", lambda: nn.RMSNorm(FEATURES, eps=1e-6), [2]),
    "torch RMSNorm": ("rms_channels", lambda: OverLastAxis(nn.RMSNorm(FEATURES, eps=1e-6)), [2, 3, 4]),
    "timm RmsNorm2d": ("rms_channels", lambda: timm("RmsNorm2d"), [4]),
    "timm FilterResponseNormTlu2d": ("filter_response", lambda: timm("FilterResponseNormTlu2d", eps=1e-6), [4]),
    "timm EvoNorm2dS0": ("evonorm_s0", lambda: timm("EvoNorm2dS0", groups=3), [4]),
}
"""For each layer of a library: the case that matches it, how to build it, and the ranks that it takes."""

EQUAL_NAMES = {"tau": "threshold"}


def see(layer: nn.Module, inputs: Tensor, factors: Tensor) -> dict[str, Tensor]:
    """Return the outputs, and the gradients of their sum with factors, by name."""
    inputs = inputs.clone().requires_grad_()
    outputs = layer(inputs)
    parameters = {name.removeprefix("layer."): value for name, value in layer.named_parameters()}
    gradients = torch.autograd.grad((outputs * factors).sum(), [inputs, *parameters.values()])
    names = ["inputs", *(EQUAL_NAMES.get(name, name) for name in parameters)]
    return {"outputs": outputs.detach(), **dict(zip(names, gradients, strict=True))}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float = 1e-10) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("library_layer", "shape"),
    [
        pytest.param(name, shape, id=f"{name}-{shape}")
        for name, (_, _, ranks) in LIBRARY_LAYERS.items()
        for shape in SHAPES
        if len(shape) in ranks
    ],
)
def test_outputs_and_gradients_are_those_of_the_layers_of_libraries(library_layer: str, shape: tuple[int, ...]) -> None:
    name, build, _ = LIBRARY_LAYERS[library_layer]
    ours, theirs = CASES[name].build().double(), build().double()
    with torch.no_grad():
        draw_parameters(theirs)
        mine = dict(ours.named_parameters())
        for key, value in theirs.named_parameters():
            key = key.removeprefix("layer.")
            mine[EQUAL_NAMES.get(key, key)].copy_(value)

    # timm's FilterResponseNorm and EvoNorm take their statistics in float32
    tolerance = 1e-5 if library_layer.startswith("timm") else 1e-10
    inputs, factors = draw(shape), draw(shape, seed=2)
    assert_same(see(ours, inputs, factors), see(theirs, inputs, factors), tolerance)


class ByFormula(nn.Module):
    """The formula of a layer, with its parameters."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: Tensor) -> Tensor:
        return formula(self.layer, inputs)


def lay_out(values: Tensor, channels_last: bool) -> Tensor:
    return values.contiguous(memory_format=torch.channels_last) if channels_last and values.ndim == 4 else values


@every_input
@pytest.mark.parametrize("affine", [{}, {"scale": False}, {"shift": False}, {"scale": False, "shift": False}], ids=str)
def test_outputs_and_gradients_are_those_of_the_formula(
    case: Case, shape: tuple[int, ...], affine: dict[str, bool]
) -> None:
    layer = case.build(**{"scale": True, "shift": True, **affine}).double()
    draw_parameters(layer)
    inputs, factors = draw(shape), draw(shape, seed=2)

    assert_same(see(layer, inputs, factors), see(ByFormula(layer), inputs, factors))


@pytest.mark.parametrize(
    ("case", "size"),
    [
        pytest.param(case, size, id=f"{name}-{size}")
        for name, case in CASES.items()
        for size in [(5, 3), (1, 4), *([(1, 1)] if case.takes_vectors else [])]
    ],
)
@pytest.mark.parametrize("gradient_last", [False, True])
def test_the_memory_format_of_feature_maps_and_gradients_changes_nothing_and_is_kept(
    case: Case, size: tuple[int, int], gradient_last: bool
) -> None:
    shape = (4, FEATURES, *size)
    layer = case.build().double()
    draw_parameters(layer)
    inputs, factors = draw(shape), draw(shape, seed=2)

    last = layer(lay_out(inputs, channels_last=True))

    assert last.is_contiguous(memory_format=torch.channels_last)
    assert_same(
        see(layer, lay_out(inputs, channels_last=True), lay_out(factors, gradient_last)), see(layer, inputs, factors)
    )


@every_case
def test_parameters_are_trained_if_the_inputs_need_no_gradient(case: Case) -> None:
    layer, inputs = case.build(), draw(SHAPES[2]).float()
    expected = see(layer, inputs, torch.ones(()))

    layer(lay_out(inputs, channels_last=True)).sum().backward()

    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["layer", "layer_channels", "group", "two groups", "instance"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_mean_of_a_thousand_deviations_costs_no_more_digits_than_the_inputs_have(
    name: str, channels_last: bool
) -> None:
    layer = CASES[name].build()
    inputs = 1000 + draw((8, FEATURES, 7, 5)).float()

    outputs = layer(lay_out(inputs, channels_last))

    torch.testing.assert_close(outputs.double(), formula(layer.double(), inputs.double()), rtol=1e-3, atol=1e-3)


@every_input
def test_second_derivatives_are_those_of_finite_differences(case: Case, shape: tuple[int, ...]) -> None:
    layer = case.build().double()
    inputs = draw((2, *shape[1:])).requires_grad_()
    assert torch.autograd.gradgradcheck(layer, (inputs,))


@half_types
@every_input
@pytest.mark.parametrize("affine", [{}, {"scale": False, "shift": True}, {"scale": True, "shift": False}], ids=str)
def test_half_precision_goes_in_and_comes_out_rounded_once(
    case: Case, shape: tuple[int, ...], half: torch.dtype, affine: dict[str, bool]
) -> None:
    layer = case.build(**affine)
    # In float16 the squares of these would overflow.
    inputs = (100 * draw(shape) + 300).to(half).requires_grad_()

    outputs = layer(inputs)
    outputs.float().square().sum().backward()

    assert outputs.dtype == half
    assert inputs.grad is not None
    torch.testing.assert_close(outputs.float(), layer(inputs.float()), rtol=torch.finfo(half).eps, atol=1e-5)
