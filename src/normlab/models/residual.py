"""Residual branches of two convolutions: with a plain shortcut, without one, and those that need no normalizer."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from normlab.models.layers import Block, NormalizationPlace, NormalizerFactory, make_activation

Residual = Literal["identity", "none", "skipinit", "fixup"]


class CentredConv2d(nn.Conv2d):
    """3×3 convolution with `padding=1`, in channels-last memory (see `normlab.models.layers.SameConv2d`).

    With stride 2 the kernel is centred on every second pixel, counted from the first, as in torchvision.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, stride, padding=1, bias=bias)
        self.weight.data = self.weight.data.clone(memory_format=torch.channels_last)


class FixupConv2d(CentredConv2d):
    """multiplier · conv(x + before) + after, with scalars in place of biases (Zhang et al., 2019, rule 3)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, multiplier: bool = False) -> None:
        super().__init__(inputs, outputs, stride, bias=False)
        self.before = nn.Parameter(torch.zeros(()))
        self.multiplier = nn.Parameter(torch.ones(())) if multiplier else None
        self.after = nn.Parameter(torch.zeros(()))

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = super().forward(inputs + self.before)
        return (outputs if self.multiplier is None else self.multiplier * outputs) + self.after


def make_centred_block(
    inputs: int,
    outputs: int,
    normalizer: NormalizerFactory,
    activation: str,
    place: NormalizationPlace,
    residual: Residual,
    stride: int = 1,
    last: bool = False,
) -> Block:
    """Return a block with a 3×3 convolution (N, inputs, H, W) → (N, outputs, ceil(H / stride), ceil(W / stride)).

    That of Fixup has its own scalars, and the last one of a branch a multiplier.
    """

    def make_convolution(bias: bool) -> nn.Module:
        if residual == "fixup":
            return FixupConv2d(inputs, outputs, stride, multiplier=last)
        return CentredConv2d(inputs, outputs, stride, bias)

    return Block(make_convolution, outputs, normalizer, activation, place)


class ResidualBlock(nn.Module):
    """Branch f of two convolutions and its shortcut: activation(x + f(x)), or as `residual` says.

    The shortcut has no parameters: where stride is 2 it takes every second pixel and adds channels of zeros (He et al.,
    2015, section 3.3, option A). So networks with and without shortcuts have the same parameters and normalizers.

    Args:
        branches: of the whole network, which the starting weights of Fixup depend on.
        residual: see `normlab.models.ResNet`.

    Raises:
        ValueError: there is no such residual, activation or place.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        normalizer: NormalizerFactory,
        activation: str,
        place: NormalizationPlace,
        residual: Residual,
        stride: int,
        branches: int,
    ) -> None:
        super().__init__()
        if residual not in get_args(Residual):
            raise ValueError(f"residual must be one of {', '.join(get_args(Residual))}, got {residual!r}")
        self.residual = residual
        self.stride = stride
        self.branches = branches
        inner, outer = (activation, "identity") if residual == "none" else ("identity", activation)
        self.first = make_centred_block(inputs, outputs, normalizer, activation, place, residual, stride)
        self.second = make_centred_block(outputs, outputs, normalizer, inner, place, residual, last=True)
        self.multiplier = nn.Parameter(torch.zeros(())) if residual == "skipinit" else None
        self.activation = make_activation(outer)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.second(self.first(inputs))
        if self.multiplier is not None:
            outputs = self.multiplier * outputs
        if self.residual != "none":
            outputs = outputs + self._shorten(inputs, outputs.shape[1])
        activated: Tensor = self.activation(outputs)
        return activated

    def _shorten(self, inputs: Tensor, channels: int) -> Tensor:
        if self.stride == 1 and inputs.shape[1] == channels:
            return inputs
        kept = inputs[:, :, :: self.stride, :: self.stride]
        return functional.pad(kept, (0, 0, 0, 0, 0, channels - inputs.shape[1]))

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Scale what Fixup's first convolution has drawn, and set the weights of the last one to zero (rules 1, 2)."""
        if self.residual == "fixup":
            self.first.get_parameter("linear_map.weight").mul_(self.branches**-0.5)
            self.second.get_parameter("linear_map.weight").zero_()
