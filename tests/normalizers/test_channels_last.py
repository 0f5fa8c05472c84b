"""Feature maps normalized as rows: what PyTorch's layer gives, wherever normlab's takes that way."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from normlab.normalizers import BatchNorm
from normlab.normalizers.channels_last import MIN_VALUES, is_faster_as_rows, normalize_rows

ENOUGH = (128, 6, 14, 14)


def draw_channels_last(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn.to(dtype).contiguous(memory_format=torch.channels_last)


def results(outputs: Tensor, gradient: Tensor, *inputs: Tensor) -> list[Tensor]:
    return [outputs, *torch.autograd.grad(outputs, inputs, gradient)]


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(st.integers(2, 8), st.integers(1, 20), st.integers(1, 6), st.integers(1, 6)),
    scale=st.booleans(),
    shift=st.booleans(),
    offset=st.floats(-100, 100),
    seed=st.integers(0, 2**31),
)
def test_outputs_statistics_and_gradients_are_those_of_pytorch_for_all_shapes(
    shape: tuple[int, int, int, int], scale: bool, shift: bool, offset: float, seed: int
) -> None:
    inputs = (draw_channels_last(*shape, seed=seed) + offset).requires_grad_()
    weight, bias = (
        torch.randn(shape[1], dtype=torch.float64, requires_grad=True) if wanted else None for wanted in (scale, shift)
    )
    mean, variance = torch.zeros(shape[1]).double(), torch.zeros(shape[1]).double()
    gradient = draw_channels_last(*shape, seed=seed + 1)
    with_respect_to = [values for values in (inputs, weight, bias) if values is not None]

    ours, our_mean, our_variance = normalize_rows(inputs, weight, bias, 1e-3)
    theirs = functional.batch_norm(inputs, mean, variance, weight, bias, training=True, momentum=1.0, eps=1e-3)

    m = inputs.numel() // shape[1]
    found = [*results(ours, gradient, *with_respect_to), our_mean, our_variance * m / (m - 1)]
    expected = [*results(theirs, gradient, *with_respect_to), mean, variance]
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_gradients_match_finite_differences() -> None:
    inputs = draw_channels_last(3, 2, 2, 3).requires_grad_()
    weight, bias = (torch.randn(2, dtype=torch.float64, requires_grad=True) for _ in range(2))

    def outputs(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return normalize_rows(inputs, weight, bias, 1e-3)[0]

    assert torch.autograd.gradcheck(outputs, (inputs, weight, bias))


def test_a_second_derivative_is_refused_and_not_wrong() -> None:
    inputs = draw_channels_last(3, 2, 2, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(
        normalize_rows(inputs, None, None, 1e-3)[0].pow(3).sum(), inputs, create_graph=True
    )

    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("averaged_variance", ["unbiased", "biased", "fused"])
def test_the_layer_takes_the_same_path_of_training_as_with_channels_outermost(averaged_variance: str) -> None:
    layers = [BatchNorm(6, averaged_variance=averaged_variance).double() for _ in range(2)]  # type: ignore[arg-type]
    for seed in range(3):
        inputs = draw_channels_last(*ENOUGH, seed=seed) * 3 + 2
        assert is_faster_as_rows(inputs)
        assert not is_faster_as_rows(inputs.contiguous())
        outputs = [layers[0](inputs), layers[1](inputs.contiguous())]
        torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(layers[0].state_dict(), layers[1].state_dict(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_comes_back_computed_in_single_precision(half: torch.dtype) -> None:
    layer, reference = BatchNorm(6), nn.BatchNorm2d(6).double()
    inputs = draw_channels_last(*ENOUGH, dtype=half)
    leaf = inputs.clone().requires_grad_()
    outputs = layer(leaf)
    outputs.sum().backward()

    assert outputs.dtype == half
    assert leaf.grad is not None
    assert leaf.grad.dtype == half
    expected = reference(inputs.double())
    torch.testing.assert_close(outputs, expected.to(half))
    assert {value.dtype for value in layer.state_dict().values()} == {torch.float32}
    torch.testing.assert_close(layer.running_var.double(), reference.running_var, rtol=1e-5, atol=0.0)


def test_a_stack_of_layers_under_vmap_has_the_gradients_of_each_alone() -> None:
    layer, members = BatchNorm(6).double(), 2
    inputs = torch.stack([draw_channels_last(*ENOUGH, seed=seed) for seed in range(members)])
    weights = torch.rand(members, 6, dtype=torch.float64)
    buffers = {name: torch.stack([value] * members) for name, value in layer.named_buffers()}
    assert layer.bias is not None
    bias = layer.bias.detach()

    def loss(weight: Tensor, of_member: dict[str, Tensor], features: Tensor) -> Tensor:
        outputs: Tensor = functional_call(layer, ({"weight": weight, "bias": bias}, of_member), (features,))
        return outputs.tanh().square().sum()

    together = vmap(grad(loss))(weights, buffers, inputs)
    for number in range(members):
        alone = {name: value.clone() for name, value in layer.named_buffers()}
        features = inputs[number].contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(together[number], grad(loss)(weights[number], alone, features))
        torch.testing.assert_close({name: value[number] for name, value in buffers.items()}, alone)


def test_only_large_inputs_of_few_channels_go_this_way() -> None:
    assert is_faster_as_rows(draw_channels_last(*ENOUGH))
    for too_few_or_many in ((8, 6, 14, 14), (128, 8, 14, 14), (128, 20, 14, 14)):
        assert not is_faster_as_rows(draw_channels_last(*too_few_or_many))
    assert not is_faster_as_rows(torch.zeros(MIN_VALUES, 2))


def test_the_same_input_gives_the_same_bits() -> None:
    inputs = draw_channels_last(*ENOUGH, dtype=torch.float32)
    found = [normalize_rows(inputs, None, None, 1e-3) for _ in range(3)]
    for one, other in pairwise(found):
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))
