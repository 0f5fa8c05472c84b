"""Laws of normalizers of single examples that hold for all shapes."""

import math
from typing import NamedTuple

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from normlab.normalizers import GroupNorm, InstanceNorm, LayerNorm, RMSNorm

from .per_example_cases import CASES, Case, draw, draw_parameters

of_every_example = settings(deadline=None, max_examples=60)

shapes = st.one_of(
    st.tuples(st.integers(1, 6), st.sampled_from([6, 8])),
    st.tuples(st.integers(1, 6), st.sampled_from([6, 8]), st.integers(1, 7)),
    st.tuples(st.integers(1, 6), st.sampled_from([6, 8]), st.integers(1, 5), st.integers(1, 5)),
)
centred = st.sampled_from([case for case in CASES.values() if case.layer_class in (GroupNorm, InstanceNorm, LayerNorm)])
scaled = st.sampled_from([case for case in CASES.values() if case.layer_class is RMSNorm])


class Drawn(NamedTuple):
    layer: nn.Module
    inputs: Tensor


def drawn(case: Case, shape: tuple[int, ...], seed: int, **changes: float) -> Drawn:
    """Return the layer with drawn parameters, and inputs of a shape that it takes."""
    shape = shape if math.prod(shape[2:]) > 2 or case.takes_vectors else (*shape[:2], 3)
    layer = case.build(shape[1], **changes).double()
    draw_parameters(layer)
    return Drawn(layer, draw(shape, seed))


def assert_close(actual: Tensor, expected: Tensor, tolerance: float = 1e-8) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


any_case, any_seed = st.sampled_from([*CASES.values()]), st.integers(0, 2**31 - 1)


@given(any_case, shapes, any_seed)
@of_every_example
def test_an_example_is_normalized_alike_alone_in_any_batch_and_in_inference(
    case: Case, shape: tuple[int, ...], seed: int
) -> None:
    layer, inputs = drawn(case, shape, seed)

    outputs = layer(inputs)

    assert_close(torch.cat([layer(example[None]) for example in inputs]), outputs, tolerance=1e-12)
    assert torch.equal(layer.eval()(inputs), outputs)


@given(any_case, shapes, any_seed)
@of_every_example
def test_the_gradient_of_an_example_does_not_reach_the_others(case: Case, shape: tuple[int, ...], seed: int) -> None:
    layer, inputs = drawn(case, shape, seed)

    (gradient,) = torch.autograd.grad(layer(inputs.requires_grad_())[0].square().sum(), inputs)

    assert torch.equal(gradient[1:], torch.zeros_like(gradient[1:]))


@given(centred | scaled, shapes, any_seed, st.floats(0.1, 10))
@of_every_example
def test_a_positive_factor_of_each_example_cancels_where_eps_is_scaled_along(
    case: Case, shape: tuple[int, ...], seed: int, factor: float
) -> None:
    layer, inputs = drawn(case, shape, seed, eps=1e-3)
    other, _ = drawn(case, shape, seed, eps=1e-3 * factor**2)

    assert_close(other(factor * inputs), layer(inputs))


@given(centred, shapes, any_seed, st.floats(-100, 100))
@of_every_example
def test_a_constant_added_to_an_example_cancels(case: Case, shape: tuple[int, ...], seed: int, constant: float) -> None:
    layer, inputs = drawn(case, shape, seed)

    assert_close(layer(inputs + constant), layer(inputs))


@given(shapes, any_seed)
@of_every_example
def test_a_constant_of_each_channel_cancels_in_instance_normalization_alone(shape: tuple[int, ...], seed: int) -> None:
    layer, inputs = drawn(CASES["instance"], shape, seed)
    constants = draw((1, shape[1], *[1] * (inputs.ndim - 2)), seed + 1)
    other, _ = drawn(CASES["layer"], shape, seed)

    assert_close(layer(inputs + constants), layer(inputs))
    assert not torch.allclose(other(inputs + constants), other(inputs))


@given(scaled, shapes, any_seed)
@of_every_example
def test_outputs_of_rms_norm_have_mean_square_one(case: Case, shape: tuple[int, ...], seed: int) -> None:
    layer, inputs = drawn(case, shape, seed, scale=False, eps=0.0)

    squares = layer(inputs).square()

    over = (1,) if case.settings else tuple(range(1, inputs.ndim))
    assert_close(squares.mean(over), torch.ones_like(squares.mean(over)))
