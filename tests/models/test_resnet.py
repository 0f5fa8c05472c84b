"""The residual network: torchvision's blocks as reference, and the starting values of branches without normalizers."""

from typing import Any

import pytest
import torch
from network_libraries import import_network_library
from torch import Tensor, nn
from torch.nn import functional

from normlab.config.compose import compose
from normlab.config.targets import bind
from normlab.models import GlorotUniform, HeNormal, ResNet, initialize
from normlab.models.layers import Block, list_normalizers
from normlab.models.residual import CentredConv2d, Residual, ResidualBlock
from normlab.normalizers import BatchNorm
from normlab.population.check import reason_not_vectorizable
from normlab.training.build import build

from ..choices import tiny

IMAGE = (3, 12, 10)
RESIDUALS: list[Residual] = ["identity", "none", "skipinit", "fixup"]

every_residual = pytest.mark.parametrize("residual", RESIDUALS)


def images(count: int = 4) -> Tensor:
    return torch.randn(count, *IMAGE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Subsampled(nn.Module):
    """Shortcut of option A: every second pixel, and as many zero channels as there are channels."""

    def forward(self, inputs: Tensor) -> Tensor:
        kept = functional.avg_pool2d(inputs, 1, stride=2)
        return torch.cat([kept, torch.zeros_like(kept)], dim=1)


def torchvision_network(n: int, width: int) -> nn.Sequential:
    """Return the network of torchvision's basic blocks, with 10 classes."""
    block = import_network_library("torchvision.models.resnet").BasicBlock
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    layers += [block(width, width) for _ in range(n)]
    for wide in (2 * width, 4 * width):
        layers.append(block(wide // 2, wide, stride=2, downsample=Subsampled()))
        layers += [block(wide, wide) for _ in range(n - 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, 10))


@torch.no_grad()
def copy_layers(source: nn.Module, target: nn.Module) -> None:
    """Copy convolutions, normalizers and the dense layer of a network to another one, in the order they are defined."""
    for kinds in ((nn.Conv2d,), (nn.BatchNorm2d, BatchNorm), (nn.Linear,)):
        ones, others = ([each for each in network.modules() if isinstance(each, kinds)] for network in (source, target))
        for one, other in zip(ones, others, strict=True):
            for name, value in other.named_parameters():
                value.copy_(one.get_parameter(name))


@pytest.mark.parametrize(("depth", "width"), [(8, 4), (20, 3)])
def test_outputs_gradients_and_running_averages_are_those_of_torchvisions_blocks(depth: int, width: int) -> None:
    network = ResNet(IMAGE, 10, BatchNorm, depth=depth, width=width).double()
    reference = torchvision_network((depth - 2) // 6, width).double()
    for parameter in reference.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    copy_layers(reference, network)
    for each in (network, reference):
        each(images()).square().sum().backward()
    torch.testing.assert_close(network.eval()(images()), reference.eval()(images()), rtol=1e-9, atol=1e-12)
    gradients = []
    for each in (network, reference):
        convolutions = [module for module in each.modules() if isinstance(module, nn.Conv2d)]
        gradients.append([convolution.weight.grad for convolution in convolutions])
    torch.testing.assert_close(*gradients, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("depth", [8, 14, 20, 56])
def test_it_has_as_many_parameters_as_torchvisions_blocks_with_or_without_shortcuts(depth: int) -> None:
    reference = sum(parameter.numel() for parameter in torchvision_network((depth - 2) // 6, 16).parameters())
    for residual in ("identity", "none"):
        network = ResNet(IMAGE, 10, BatchNorm, depth=depth, residual=residual)
        assert sum(parameter.numel() for parameter in network.parameters()) == reference
        assert len(list_normalizers(network)) == depth - 1


def test_the_default_network_has_the_papers_number_of_parameters() -> None:
    network = ResNet((3, 32, 32), 10, BatchNorm)
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(270_000, rel=0.01)  # table 6


def test_two_stages_halve_the_image_and_double_the_channels() -> None:
    network = ResNet((1, 28, 28), 10, nn.Identity, depth=14, width=5)
    shapes: list[tuple[int, ...]] = []
    for block in network.modules():
        if isinstance(block, ResidualBlock):
            block.register_forward_hook(lambda _block, _inputs, outputs: shapes.append(tuple(outputs.shape[1:])))
    network(torch.rand(2, 1, 28, 28))
    assert shapes == [(5, 28, 28)] * 2 + [(10, 14, 14)] * 2 + [(20, 7, 7)] * 2


@every_residual
@pytest.mark.parametrize("normalizer", [nn.Identity, BatchNorm, lambda features: nn.GroupNorm(1, features)])
def test_every_parameter_receives_a_finite_gradient(residual: Residual, normalizer: Any) -> None:
    network = ResNet(IMAGE, 10, normalizer, depth=8, width=4, residual=residual)
    outputs = network(images().float())
    assert outputs.shape == (4, 10)
    gradients = torch.autograd.grad(outputs.sum(), [*network.parameters()], allow_unused=True)
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("depth", [8, 14])
def test_fixup_scales_the_first_convolution_of_each_branch_and_sets_the_last_one_and_the_classifier_to_zero(
    depth: int,
) -> None:
    plain, network = (
        ResNet(IMAGE, 10, nn.Identity, depth=depth, residual=residual) for residual in ("identity", "fixup")
    )
    for each in (plain, network):
        assert initialize(each, 3, HeNormal()) == []
    branches = (depth - 2) // 2
    state = dict(plain.named_parameters())
    assert torch.equal(network.get_parameter("first.linear_map.weight"), state["first.linear_map.weight"])
    for number in range(branches):
        first, second = (f"blocks.{number}.{name}.linear_map" for name in ("first", "second"))
        torch.testing.assert_close(network.get_parameter(f"{first}.weight"), state[f"{first}.weight"] / branches**0.5)
        assert not network.get_parameter(f"{second}.weight").any()
        scalars = [network.get_parameter(f"{first}.{name}") for name in ("before", "after")]
        scalars += [network.get_parameter(f"{second}.{name}") for name in ("before", "multiplier", "after")]
        assert [scalar.item() for scalar in scalars] == [0, 0, 0, 1, 0]
    assert not network.output.weight.any()
    assert not network(images().float()).any()


def test_a_fixup_branch_computes_what_its_scalars_say() -> None:
    block = ResNet(IMAGE, 10, nn.Identity, depth=8, width=4, residual="fixup").double().blocks[1]
    assert isinstance(block, ResidualBlock)
    first, second = block.first.linear_map, block.second.linear_map
    for number, scalar in enumerate(each for each in block.parameters() if each.ndim == 0):
        nn.init.constant_(scalar, 0.3 * (number + 1))
    inputs = torch.rand(2, 4, 5, 7, dtype=torch.float64)
    before_1, after_1, before_2, multiplier, after_2 = (0.3, 0.6, 0.9, 1.2, 1.5)
    hidden = functional.conv2d(inputs + before_1, first.get_parameter("weight"), stride=2, padding=1) + after_1
    branch = functional.conv2d(hidden.relu() + before_2, second.get_parameter("weight"), padding=1) * multiplier
    torch.testing.assert_close(block(inputs), (Subsampled()(inputs) + branch + after_2).relu())


def test_a_skipinit_network_starts_as_one_whose_branches_are_cut() -> None:
    network = ResNet(IMAGE, 10, nn.Identity, depth=8, width=4, residual="skipinit").double()
    initialize(network, 0, GlorotUniform())
    shortened = Subsampled()(Subsampled()(network.first(images())))
    torch.testing.assert_close(network(images()), network.output(shortened.mean(dim=(2, 3))))
    block = network.blocks[0]
    assert isinstance(block, ResidualBlock)
    assert block.multiplier is not None
    nn.init.constant_(block.multiplier, 0.7)
    inputs = torch.rand(2, 4, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(block(inputs), (inputs + 0.7 * block.second(block.first(inputs))).relu())


@every_residual
def test_kinds_of_residual_share_the_starting_weights_that_they_do_not_set(residual: Residual) -> None:
    plain, network = (ResNet(IMAGE, 10, BatchNorm, depth=8, residual=each) for each in ("identity", residual))
    for each in (plain, network):
        initialize(each, 0, GlorotUniform())
    weights = dict(plain.named_parameters())
    for name, value in network.named_parameters():
        if residual != "fixup" and name in weights:
            assert torch.equal(value, weights[name])


class Halved(nn.Identity):
    includes_activation = True

    def __init__(self, num_features: int) -> None:
        super().__init__()

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.clamp(max=0)


def test_a_normalizer_with_an_activation_replaces_that_within_branches_and_the_sum_is_activated() -> None:
    network = ResNet(IMAGE, 10, Halved, depth=8)
    assert all(type(each.activation) is nn.Identity for each in network.modules() if isinstance(each, Block))
    assert all(type(each.activation) is nn.ReLU for each in network.modules() if isinstance(each, ResidualBlock))
    plain = ResNet(IMAGE, 10, Halved, depth=8, residual="none")
    assert nn.ReLU not in {type(each) for each in plain.modules()}


def test_convolutions_are_kept_in_channels_last_memory() -> None:
    network = ResNet((1, 8, 8), 10, BatchNorm, depth=8)
    initialize(network, 0, GlorotUniform())
    assert network.blocks(network.first(torch.rand(2, 1, 8, 8))).is_contiguous(memory_format=torch.channels_last)
    assert sum(isinstance(each, CentredConv2d) for each in network.modules()) == 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 21}, r"depth must be 6n \+ 2, got 21: choose 20 or 26"),
        ({"depth": 9}, "got 9: choose 8 or 14"),
        ({"depth": 2}, "got 2: choose 8 or more"),
        ({"depth": -4}, "got -4: choose 8 or more"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"residual": "dense"}, "residual must be one of identity, none, skipinit, fixup, got 'dense'"),
        ({"activation": "rlu"}, "no activation 'rlu'"),
        ({"normalization_place": "around"}, "must be before or after"),
    ],
    ids=str,
)
def test_a_network_that_cannot_be_built_raises_an_error_with_a_remedy(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ResNet(IMAGE, 10, nn.Identity, **settings)


def test_the_shipped_config_equals_the_defaults() -> None:
    from_config = bind(compose("model=resnet").settings, "model")(IMAGE, 10, BatchNorm)
    assert str(from_config) == str(ResNet(IMAGE, 10, BatchNorm))


@every_residual
@pytest.mark.parametrize("normalizer", ["none", "batch"])
def test_seeds_can_be_trained_together(residual: Residual, normalizer: str) -> None:
    overrides = (*tiny("resnet"), f"normalizer={normalizer}", f"model.residual={residual}")
    members = [build(compose(*overrides, f"seed={seed}").settings).module.train() for seed in (0, 1)]
    assert reason_not_vectorizable(members) is None
