"""The one block all networks are made of: linear map, normalizer, activation; and TensorFlow's SAME padding."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

NormalizerFactory = Callable[[int], nn.Module]
"""From a number of features to a module for inputs (N, C) and (N, C, H, W); `torch.nn.Identity` normalizes nothing."""

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "identity": nn.Identity,
}


def activation_named(name: str) -> nn.Module:
    """Return a new activation module. Raises ValueError, listing the names, where there is none called `name`."""
    if name not in ACTIVATIONS:
        raise ValueError(f"there is no activation {name!r}: choose one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: ceil(size / stride) outputs along each axis.

    The zeros added in all are split evenly between both ends, an odd one going to the bottom and right. So
    stride 2 with a 3×3 kernel pads an even size at its end alone, where PyTorch's `padding=1` pads its start.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, bias: bool = True):
        super().__init__(in_channels, out_channels, kernel_size, stride, bias=bias)
        # With channels innermost in memory, which outputs take over from weights, an update of a convolutional network
        # takes a fifth less time. Of a single channel only a clone's strides say so.
        self.weight.data = self.weight.data.clone(memory_format=torch.channels_last)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, ceil(H / stride), ceil(W / stride))."""
        height, width = inputs.shape[2:]
        top, bottom = self._padding_of(height, axis=0)
        left, right = self._padding_of(width, axis=1)
        if height <= min(self.stride[0], self.kernel_size[0]) and width <= min(self.stride[1], self.kernel_size[1]):
            # The kernel sees all of the image from its only place: a dense layer, which takes less time.
            seen = self.weight[:, :, top : top + height, left : left + width]
            pixels, weights = (values.permute(0, 2, 3, 1).flatten(1) for values in (inputs, seen))
            return functional.linear(pixels, weights, self.bias)[:, :, None, None]
        # On a single row or column a stride has nothing to skip; given one, oneDNN leaves a part of the weights'
        # gradient in bfloat16 unset (PyTorch 2.13, CPU).
        stride = tuple(1 if size == 1 else step for size, step in zip(inputs.shape[2:], self.stride, strict=True))
        if top == bottom and left == right:
            # The kernel pads by itself, which spares a copy of the input.
            return functional.conv2d(inputs, self.weight, self.bias, stride, (top, left))
        return functional.conv2d(functional.pad(inputs, (left, right, top, bottom)), self.weight, self.bias, stride)

    def _padding_of(self, size: int, axis: int) -> tuple[int, int]:
        outputs = -(-size // self.stride[axis])
        total = max((outputs - 1) * self.stride[axis] + self.kernel_size[axis] - size, 0)
        return total // 2, total - total // 2


class Block(nn.Module):
    """Linear map, normalizer, activation, in this order: normalization before the nonlinearity, as published.

    The linear map has a bias unless the normalizer says by an attribute `linear_bias = False` that it cancels one.

    Args:
        linear_map: from a keyword `bias` to the linear map, dense or convolution.
        num_features: its outputs or output channels, which are normalized.
        normalizer: the factory of the normalizer.
        activation: a name in `ACTIVATIONS`.
    """

    def __init__(
        self,
        linear_map: Callable[..., nn.Module],
        num_features: int,
        normalizer: NormalizerFactory,
        activation: str,
    ) -> None:
        super().__init__()
        self.normalizer = normalizer(num_features)
        self.linear_map = linear_map(bias=getattr(self.normalizer, "linear_bias", True))
        self.activation = activation_named(activation)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.activation(self.normalizer(self.linear_map(inputs)))
        return outputs


def named_normalizers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return (name of the block, its normalizer), from input to output, for all blocks that normalize."""
    return [
        (name, module.normalizer)
        for name, module in network.named_modules()
        if isinstance(module, Block) and not isinstance(module.normalizer, nn.Identity)
    ]


def dense_block(inputs: int, outputs: int, normalizer: NormalizerFactory, activation: str) -> Block:
    """A block over (N, inputs) → (N, outputs)."""
    return Block(lambda bias: nn.Linear(inputs, outputs, bias=bias), outputs, normalizer, activation)


def convolution_block(
    inputs: int, outputs: int, kernel_size: int, normalizer: NormalizerFactory, activation: str, stride: int = 1
) -> Block:
    """A block over (N, inputs, H, W) → (N, outputs, ceil(H / stride), ceil(W / stride)), with SAME padding."""
    return Block(
        lambda bias: SameConv2d(inputs, outputs, kernel_size, stride, bias=bias), outputs, normalizer, activation
    )
