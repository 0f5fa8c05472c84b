"""SAME padding against a convolution written out in NumPy, and the block all networks are made of."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from normlab.models import DeepCNN
from normlab.models.layers import (
    ACTIVATIONS,
    Block,
    NormalizerFactory,
    SameConv2d,
    list_normalizers,
    make_activation,
    make_convolution_block,
    make_dense_block,
)
from normlab.normalizers import BatchNorm
from normlab.randomness import generator

tf_layers = partial(BatchNorm, averaged_variance="fused")
batch_norm_1d = partial(BatchNorm, averaged_variance="biased", random_start=True, linear_bias=True)


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=generator(0, "inputs"), dtype=torch.float64)


class Subtract(nn.Module):
    """A normalizer of a user's own, without the attribute `linear_bias`."""

    def __init__(self, num_features: int, amount: float = 10.0) -> None:
        super().__init__()
        self.num_features = num_features
        self.amount = amount

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs - self.amount


def padded(size: int, kernel_size: int, stride: int) -> tuple[int, int]:
    """TensorFlow's documented formula for SAME: the odd zero goes to the end."""
    total = max(kernel_size - (size % stride or stride), 0)
    return total // 2, total - total // 2


def same_convolution(
    images: NDArray[np.float64], weight: NDArray[np.float64], bias: NDArray[np.float64], stride: int
) -> NDArray[np.float64]:
    kernel_size = weight.shape[2]
    rows, columns = (padded(size, kernel_size, stride) for size in images.shape[2:])
    canvas = np.pad(images, ((0, 0), (0, 0), rows, columns))
    height, width = (math.ceil(size / stride) for size in images.shape[2:])
    outputs = np.empty((len(images), len(weight), height, width))
    for y in range(height):
        for x in range(width):
            patch = canvas[:, :, y * stride : y * stride + kernel_size, x * stride : x * stride + kernel_size]
            outputs[:, :, y, x] = np.tensordot(patch, weight, axes=([1, 2, 3], [1, 2, 3])) + bias
    return outputs


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", range(1, 10))
def test_same_padding_gives_the_shape_and_the_values_of_tensorflow(size: int, stride: int, kernel_size: int) -> None:
    convolution = SameConv2d(2, 3, kernel_size, stride).double()
    images = drawn(2, 2, size, 10 - size)

    outputs = convolution(images)

    assert convolution.bias is not None
    expected = same_convolution(
        images.numpy(), convolution.weight.detach().numpy(), convolution.bias.detach().numpy(), stride
    )
    assert outputs.shape == (2, 3, math.ceil(size / stride), math.ceil((10 - size) / stride))
    np.testing.assert_allclose(outputs.detach().numpy(), expected, rtol=1e-10, atol=1e-12)


def corner_pixels() -> SameConv2d:
    """A 3×3 convolution of stride 2 that returns the top left pixel of each patch."""
    convolution = SameConv2d(1, 1, 3, stride=2, bias=False)
    with torch.no_grad():
        convolution.weight.zero_()[0, 0, 0, 0] = 1
    return convolution


def test_stride_two_pads_an_even_size_at_the_bottom_and_right_alone() -> None:
    image = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)

    assert corner_pixels()(image).tolist() == [[[[1.0, 3.0], [9.0, 11.0]]]]


def test_stride_two_pads_an_odd_size_at_both_ends() -> None:
    image = torch.arange(1.0, 26.0).reshape(1, 1, 5, 5)

    assert corner_pixels()(image).tolist() == [[[[0.0, 0.0, 0.0], [0.0, 7.0, 9.0], [0.0, 17.0, 19.0]]]]


@pytest.mark.parametrize(("size", "agree"), [(28, False), (14, False), (7, True), (4, False), (2, False), (1, True)])
def test_stride_two_agrees_with_padding_one_of_pytorch_on_odd_sizes_alone(size: int, agree: bool) -> None:
    convolution = SameConv2d(1, 1, 3, stride=2).double()
    images = drawn(1, 1, size, size)

    with_padding_one = functional.conv2d(images, convolution.weight, convolution.bias, stride=2, padding=1)

    assert convolution(images).shape == with_padding_one.shape
    assert torch.allclose(convolution(images), with_padding_one) is agree


def test_a_convolution_without_bias_has_none() -> None:
    assert SameConv2d(1, 1, 3, bias=False).bias is None


def doubled(bias: bool) -> nn.Linear:
    linear = nn.Linear(1, 1, bias=bias)
    nn.init.constant_(linear.weight, 2)
    nn.init.zeros_(linear.bias)
    return linear


def test_a_block_is_linear_map_then_normalizer_then_activation() -> None:
    block = Block(doubled, 1, Subtract, "relu")

    # Any other order of 2x, x − 10 and max(x, 0) gives something else for one of these.
    assert block(torch.tensor([[3.0], [7.0]])).tolist() == [[0.0], [4.0]]


def test_a_block_normalizes_after_the_activation_if_that_is_its_place() -> None:
    block = Block(doubled, 1, Subtract, "relu", "after")

    assert block(torch.tensor([[-3.0], [7.0]])).tolist() == [[-10.0], [4.0]]


def test_a_linear_map_keeps_its_bias_where_the_activation_is_between_it_and_the_normalizer() -> None:
    assert make_dense_block(4, 3, tf_layers, "relu", "after").linear_map.bias is not None


def test_an_activation_that_a_normalizer_includes_replaces_that_of_the_block() -> None:
    class Own(Subtract):
        includes_activation = True

    block = Block(doubled, 1, Own, "relu")

    assert block(torch.tensor([[-3.0], [7.0]])).tolist() == [[-16.0], [4.0]]


def test_a_place_that_there_is_not_raises_an_error_that_lists_both() -> None:
    with pytest.raises(ValueError, match="normalization_place must be before or after"):
        make_dense_block(4, 3, nn.Identity, "relu", "between")  # type: ignore[arg-type]


def test_a_block_tells_the_normalizer_the_number_of_features_behind_the_linear_map() -> None:
    dense = make_dense_block(5, 7, Subtract, "relu")
    convolution = make_convolution_block(5, 7, 3, Subtract, "relu", stride=2)

    assert dense.normalizer.num_features == 7
    assert convolution.normalizer.num_features == 7
    assert dense(torch.zeros(2, 5)).shape == (2, 7)
    assert convolution(torch.zeros(2, 5, 9, 8)).shape == (2, 7, 5, 4)


def a_dense_block(normalizer: NormalizerFactory) -> Block:
    return make_dense_block(4, 3, normalizer, "relu")


def a_convolution_block(normalizer: NormalizerFactory) -> Block:
    return make_convolution_block(4, 3, 3, normalizer, "relu")


@pytest.mark.parametrize("block", [a_dense_block, a_convolution_block])
@pytest.mark.parametrize(
    ("normalizer", "keeps_bias"),
    [(nn.Identity, True), (tf_layers, False), (batch_norm_1d, True), (Subtract, True), (nn.BatchNorm2d, True)],
    ids=["none", "tf_layers", "batch_norm_1d", "a user's own", "PyTorch's own"],
)
def test_the_linear_map_keeps_its_bias_unless_the_normalizer_says_that_it_cancels_one(
    block: Callable[[NormalizerFactory], Block], normalizer: NormalizerFactory, keeps_bias: bool
) -> None:
    linear_map = block(normalizer).linear_map

    assert (linear_map.bias is not None) is keeps_bias


def test_centring_does_cancel_a_bias_in_front() -> None:
    with_bias = make_dense_block(4, 3, batch_norm_1d, "identity").double()
    before = with_bias(drawn(8, 4))

    nn.init.constant_(with_bias.linear_map.get_parameter("bias"), 5.0)

    torch.testing.assert_close(with_bias(drawn(8, 4)), before)


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
FORMULAS: dict[str, Callable[[float], float]] = {
    "relu": lambda x: max(x, 0.0),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "selu": lambda x: SELU_SCALE * (x if x > 0 else SELU_ALPHA * math.expm1(x)),
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + math.exp(-x)),
    "softplus": lambda x: math.log1p(math.exp(x)),
    "identity": lambda x: x,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_follows_its_formula(name: str) -> None:
    points = [-3.0, -1.0, -0.1, 0.0, 0.1, 1.0, 3.0]

    values = make_activation(name)(torch.tensor(points, dtype=torch.float64))

    assert values.tolist() == pytest.approx([FORMULAS[name](x) for x in points], rel=1e-12, abs=1e-15)


def test_every_activation_is_a_new_module() -> None:
    assert make_activation("relu") is not make_activation("relu")


@pytest.mark.parametrize("name", ["rlu", "ReLU", ""])
def test_an_unknown_activation_raises_an_error_that_lists_the_names(name: str) -> None:
    with pytest.raises(ValueError, match=f"no activation {name!r}: choose one of {', '.join(ACTIVATIONS)}"):
        make_activation(name)


@pytest.mark.parametrize("normalizer", [tf_layers, Subtract])
def test_the_normalizers_of_a_network_are_listed_from_input_to_output(normalizer: NormalizerFactory) -> None:
    network = DeepCNN((1, 28, 28), 10, normalizer, depth=12)

    named = list_normalizers(network)

    assert [name for name, _ in named] == [*(f"convolutions.{i}" for i in range(12)), "dense"]
    assert all(module is network.get_submodule(name).normalizer for name, module in named)


def test_a_network_without_normalization_has_no_normalizers_to_list() -> None:
    assert list_normalizers(DeepCNN((1, 28, 28), 10, nn.Identity)) == []


def test_a_block_by_itself_is_listed_too() -> None:
    block = a_dense_block(tf_layers)

    assert list_normalizers(block) == [("", block.normalizer)]


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 1), (2, 2), (5, 5)])
@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_gradients_under_autocast_are_those_of_double_precision(
    size: tuple[int, int], kernel_size: int, stride: int
) -> None:
    convolution = SameConv2d(8, 12, kernel_size, stride)
    reference = SameConv2d(8, 12, kernel_size, stride).double()
    with torch.no_grad():
        for exact, parameter in zip(reference.parameters(), convolution.parameters(), strict=True):
            exact.copy_(parameter.copy_(parameter.bfloat16()))
    images = torch.randn(64, 8, *size).bfloat16()
    for _ in range(16):  # a gradient left unset holds what lay in memory before, which may be zeros
        spoiled = [torch.full((length,), math.nan) for length in (800, 1600, 2400, 4800, 9600)]
        del spoiled
        convolution.zero_grad()
        reference.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = convolution(images)
        towards = torch.randn_like(outputs)
        outputs.backward(towards)
        reference(images.double()).backward(towards.double())
        for exact, parameter in zip(reference.parameters(), convolution.parameters(), strict=True):
            assert parameter.grad is not None
            assert exact.grad is not None
            # Without bfloat16 units a CPU may also sum in bfloat16; values left unset are off by the whole gradient.
            largest = float(exact.grad.abs().max())
            torch.testing.assert_close(parameter.grad.double(), exact.grad, rtol=0, atol=0.1 * largest)
