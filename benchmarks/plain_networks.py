"""The shipped networks as one writes them in PyTorch: without the choices that make an update faster."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from normlab.models import ConvNet
from normlab.models.layers import SameConv2d
from normlab.normalizers import BatchNorm


class ConvolvedAnyway(SameConv2d):
    """Pads and convolves, also where the kernel sees the whole image from its only place."""

    def forward(self, inputs: Tensor) -> Tensor:
        (top, bottom), (left, right) = (self._compute_padding(size, axis) for axis, size in enumerate(inputs.shape[2:]))
        if top == bottom and left == right:
            return functional.conv2d(inputs, self.weight, self.bias, self.stride, (top, left))
        return functional.conv2d(
            functional.pad(inputs, (left, right, top, bottom)), self.weight, self.bias, self.stride
        )


class NormalizedByPyTorch(BatchNorm):
    """Takes PyTorch's kernel, however few the channels."""

    def normalize_with_batch_statistics(self, inputs: Tensor) -> Tensor:
        return self._normalize_with_pytorch_kernel(inputs)


def with_channels_first(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, SameConv2d):
            module.weight.data = module.weight.data.clone(memory_format=torch.contiguous_format)


def with_convolutions_of_one_place(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, SameConv2d):
            module.__class__ = ConvolvedAnyway


def with_pooling_after_relu(network: nn.Module) -> None:
    if isinstance(network, ConvNet):
        for number in (1, 3):
            network.stages[number] = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))


def with_pytorchs_kernel(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.__class__ = NormalizedByPyTorch


def made_plain(network: nn.Module) -> None:
    """Undo all of them in place; Adam's fused kernel is undone by the config."""
    with_channels_first(network)
    with_convolutions_of_one_place(network)
    with_pooling_after_relu(network)
    with_pytorchs_kernel(network)
