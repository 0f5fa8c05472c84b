"""Building block of all networks (linear map, normalizer, activation), and TensorFlow's SAME padding."""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

NormalizerFactory = Callable[[int], nn.Module]
"""From a number of features to a module for inputs (N, C) and (N, C, H, W); `torch.nn.Identity` for none."""

NormalizationPlace = Literal["before", "after"]
"""Of a normalizer, relative to the activation."""

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


def make_activation(name: str) -> nn.Module:
    """Return a new activation module. Raises ValueError, listing all names, if `name` is unknown."""
    if name not in ACTIVATIONS:
        raise ValueError(f"there is no activation {name!r}: choose one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: ceil(size / stride) outputs along each axis.

    Padding is split evenly between both ends; an odd zero goes to the bottom and right. So a 3×3 kernel with
    stride 2 pads an even size only at its end, whereas PyTorch's `padding=1` pads its start.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, bias: bool = True):
        super().__init__(in_channels, out_channels, kernel_size, stride, bias=bias)
        # Outputs inherit the memory format of the weights, and channels-last makes a training step a fifth faster.
        # A clone is needed because the strides of a single channel are ambiguous.
        self.weight.data = self.weight.data.clone(memory_format=torch.channels_last)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, ceil(H / stride), ceil(W / stride))."""
        height, width = inputs.shape[2:]
        top, bottom = self._compute_padding(height, axis=0)
        left, right = self._compute_padding(width, axis=1)
        if height <= min(self.stride[0], self.kernel_size[0]) and width <= min(self.stride[1], self.kernel_size[1]):
            # The kernel covers the whole image at its only position: a dense layer, which is faster.
            covered = self.weight[:, :, top : top + height, left : left + width]
            pixels, weights = (values.permute(0, 2, 3, 1).flatten(1) for values in (inputs, covered))
            return functional.linear(pixels, weights, self.bias)[:, :, None, None]
        # The stride has no effect on a single row or column, but with one oneDNN leaves part of the bfloat16 gradient
        # of the weights unset (PyTorch 2.13, CPU).
        stride = tuple(1 if size == 1 else step for size, step in zip(inputs.shape[2:], self.stride, strict=True))
        if top == bottom and left == right:
            # Padding inside the kernel saves a copy of the input.
            return functional.conv2d(inputs, self.weight, self.bias, stride, (top, left))
        return functional.conv2d(functional.pad(inputs, (left, right, top, bottom)), self.weight, self.bias, stride)

    def _compute_padding(self, size: int, axis: int) -> tuple[int, int]:
        outputs = -(-size // self.stride[axis])
        total = max((outputs - 1) * self.stride[axis] + self.kernel_size[axis] - size, 0)
        return total // 2, total - total // 2


class Block(nn.Module):
    """Linear map, normalizer and activation, in the order of the original paper unless `place` is "after".

    The linear map has no bias if the normalizer follows it and cancels one, and the activation is that of the
    normalizer if it includes one: see `linear_bias` and `includes_activation` of `normlab.normalizers.Normalizer`.

    Args:
        linear_map: from a keyword `bias` to the linear map, dense or convolution.
        num_features: outputs or output channels of the linear map.
        normalizer: factory of the normalizer.
        activation: a name in `ACTIVATIONS`.
        place: of the normalizer, "before" or "after" the activation.

    Raises:
        ValueError: there is no such activation or place.
    """

    def __init__(
        self,
        linear_map: Callable[..., nn.Module],
        num_features: int,
        normalizer: NormalizerFactory,
        activation: str,
        place: NormalizationPlace = "before",
    ) -> None:
        super().__init__()
        if place not in get_args(NormalizationPlace):
            raise ValueError(f"normalization_place must be before or after (the activation), got {place!r}")
        self.place = place
        self.normalizer = normalizer(num_features)
        self.linear_map = linear_map(bias=place == "after" or getattr(self.normalizer, "linear_bias", True))
        includes_activation = getattr(self.normalizer, "includes_activation", False)
        self.activation = make_activation("identity" if includes_activation else activation)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.linear_map(inputs)
        if self.place == "before":
            outputs = self.activation(self.normalizer(outputs))
        else:
            outputs = self.normalizer(self.activation(outputs))
        return outputs


def list_places(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return (name, normalizer) of all modules with a submodule `normalizer`, from input to output."""
    return [
        (name, module.normalizer)
        for name, module in network.named_modules()
        if isinstance(getattr(module, "normalizer", None), nn.Module)
    ]


def list_normalizers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return `list_places` without those that do not normalize."""
    return [(name, normalizer) for name, normalizer in list_places(network) if type(normalizer) is not nn.Identity]


def list_linear_maps(network: nn.Module) -> list[tuple[str, nn.Linear | nn.Conv2d]]:
    """Return (name, layer) of all dense layers and convolutions, from input to output."""
    return [(name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]


def name_normalizer_parameters(network: nn.Module) -> set[str]:
    """Return the names in `network.named_parameters()` of the parameters of its normalizers."""
    own = {parameter for _, normalizer in list_places(network) for parameter in normalizer.parameters()}
    return {name for name, parameter in network.named_parameters() if parameter in own}


def name_output_parameters(network: nn.Module) -> set[str]:
    """Return the names of the parameters of the output layer, which is the last linear map; none if there is none."""
    return {f"{name}.{own}" for name, layer in list_linear_maps(network)[-1:] for own, _ in layer.named_parameters()}


def make_dense_block(
    inputs: int, outputs: int, normalizer: NormalizerFactory, activation: str, place: NormalizationPlace = "before"
) -> Block:
    """Return a block (N, inputs) → (N, outputs)."""
    return Block(lambda bias: nn.Linear(inputs, outputs, bias=bias), outputs, normalizer, activation, place)


def make_convolution_block(
    inputs: int,
    outputs: int,
    kernel_size: int,
    normalizer: NormalizerFactory,
    activation: str,
    stride: int = 1,
    place: NormalizationPlace = "before",
) -> Block:
    """Return a block (N, inputs, H, W) → (N, outputs, ceil(H / stride), ceil(W / stride))."""
    return Block(
        lambda bias: SameConv2d(inputs, outputs, kernel_size, stride, bias=bias), outputs, normalizer, activation, place
    )
