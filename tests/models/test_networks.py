"""The networks: their sizes, their shapes, and what of them can be set."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from normlab.config.compose import compose
from normlab.config.targets import bind
from normlab.models import MLP, ConvNet, DeepCNN, GlorotUniform, initialize
from normlab.models.convnet import make_stage
from normlab.models.layers import ACTIVATIONS, Block, list_normalizers
from normlab.normalizers import BatchNorm
from normlab.randomness import generator

from ..choices import normalizer_named

NETWORKS: dict[str, Callable[..., nn.Module]] = {"mlp": MLP, "convnet": ConvNet, "deep_cnn": DeepCNN}
MNIST = (1, 28, 28)

every_network = pytest.mark.parametrize("name", NETWORKS)
every_normalizer = pytest.mark.parametrize("normalizer", ["none", "tf_layers", "batch_norm_1d", "formula"])


def shapes_in(network: nn.Module, images: Tensor, kinds: tuple[type[nn.Module], ...]) -> list[tuple[int, ...]]:
    """Return the output shapes, without the batch axis, of all modules of some kinds, in the order they run."""
    seen: list[tuple[int, ...]] = []

    def note(_module: nn.Module, _inputs: Any, outputs: Tensor) -> None:
        seen.append(tuple(outputs.shape[1:]))

    handles = [module.register_forward_hook(note) for module in network.modules() if isinstance(module, kinds)]
    network(images)
    for handle in handles:
        handle.remove()
    return seen


def output_of(network: nn.Module) -> nn.Module:
    return network.get_submodule("output")


def parameters_expected(
    layers: Sequence[tuple[int, int]], output: tuple[int, int], bias: bool, per_feature: int
) -> int:
    """Count parameters from (inputs of one output, outputs) of each normalized layer, and of the output layer."""
    in_layers = sum((inputs + bias + per_feature) * outputs for inputs, outputs in layers)
    return in_layers + (output[0] + 1) * output[1]


LAYERS = {
    "mlp": ([(784, 100)], (100, 10)),
    "convnet": ([(1 * 9, 6), (6 * 25, 16)], (784, 10)),
    "deep_cnn": ([(9, 4), *((9 * 4 * (i - 1), 4 * i) for i in range(2, 20)), (76, 100)], (100, 10)),
}
# What each normalizer leaves of the bias in front, and how many parameters it has for each feature.
BIAS_AND_PARAMETERS = {
    "none": (True, 0),
    "batch": (False, 2),
    "formula": (False, 2),
    "slim": (False, 1),
    "tf_layers": (False, 2),
    "tf_nn": (False, 2),
    "batch_norm_1d": (True, 2),
}


@pytest.mark.parametrize(
    ("name", "normalizer", "count"),
    [
        ("mlp", "none", 79_510),
        ("mlp", "batch", 79_610),
        ("mlp", "formula", 79_610),
        ("mlp", "slim", 79_510),
        ("mlp", "tf_layers", 79_610),
        ("mlp", "tf_nn", 79_610),
        ("mlp", "batch_norm_1d", 79_710),
        ("convnet", "none", 10_326),
        ("convnet", "batch", 10_348),
        ("convnet", "formula", 10_348),
        ("convnet", "slim", 10_326),
        ("convnet", "tf_layers", 10_348),
        ("convnet", "tf_nn", 10_348),
        ("convnet", "batch_norm_1d", 10_370),
        ("deep_cnn", "none", 337_826),
        ("deep_cnn", "batch", 338_686),
        ("deep_cnn", "formula", 338_686),
        ("deep_cnn", "slim", 337_826),
        ("deep_cnn", "tf_layers", 338_686),
        ("deep_cnn", "tf_nn", 338_686),
        ("deep_cnn", "batch_norm_1d", 339_546),
    ],
)
def test_a_network_has_as_many_parameters_as_were_counted_by_hand(name: str, normalizer: str, count: int) -> None:
    network = NETWORKS[name](MNIST, 10, normalizer_named(normalizer))

    layers, output = LAYERS[name]
    bias, per_feature = BIAS_AND_PARAMETERS[normalizer]
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    assert parameters_expected(layers, output, bias, per_feature) == count


@every_network
@every_normalizer
def test_a_network_maps_images_to_logits_in_both_modes(name: str, normalizer: str) -> None:
    network = NETWORKS[name](MNIST, 10, normalizer_named(normalizer))
    images = torch.rand(2, *MNIST)

    assert network(images).shape == (2, 10)
    assert network.eval()(images[:1]).shape == (1, 10)


@every_network
@every_normalizer
def test_every_parameter_of_a_network_receives_a_gradient(name: str, normalizer: str) -> None:
    network = NETWORKS[name](MNIST, 10, normalizer_named(normalizer))

    parameters = list(network.parameters())
    gradients = torch.autograd.grad(network(torch.rand(3, *MNIST)).sum(), parameters, allow_unused=True)

    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)


def test_the_deep_network_halves_the_image_at_every_third_of_its_growing_convolutions() -> None:
    shapes = shapes_in(DeepCNN(MNIST, 10, nn.Identity), torch.rand(2, *MNIST), (Block, nn.Flatten))

    sizes = [28, 28, 14, 14, 14, 7, 7, 7, 4, 4, 4, 2, 2, 2, 1, 1, 1, 1, 1]
    channels = [4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 72, 76]
    convolutions = [(count, size, size) for count, size in zip(channels, sizes, strict=True)]
    assert shapes == [*convolutions, (76,), (100,)]


def test_the_small_convolutional_network_pools_behind_each_of_its_two_convolutions() -> None:
    shapes = shapes_in(ConvNet(MNIST, 10, nn.Identity), torch.rand(2, *MNIST), (Block, nn.MaxPool2d, nn.Flatten))

    assert shapes == [(6, 28, 28), (6, 14, 14), (16, 14, 14), (16, 7, 7), (784,)]


def test_the_perceptron_has_one_hidden_layer_of_a_hundred() -> None:
    assert shapes_in(MLP(MNIST, 10, nn.Identity), torch.rand(2, *MNIST), (nn.Flatten, Block)) == [(784,), (100,)]


def test_pooling_drops_an_odd_last_row_and_column() -> None:
    network = ConvNet((1, 7, 9), 10, nn.Identity)

    shapes = shapes_in(network, torch.rand(2, 1, 7, 9), (nn.MaxPool2d, nn.Flatten))

    assert shapes == [(6, 3, 4), (16, 1, 2), (32,)]


def test_the_convolutions_have_the_published_kernels() -> None:
    def kernels(network: nn.Module) -> list[tuple[int, ...]]:
        return [module.kernel_size for module in network.modules() if isinstance(module, nn.Conv2d)]

    assert kernels(DeepCNN(MNIST, 10, nn.Identity)) == [(3, 3)] * 19
    assert kernels(ConvNet(MNIST, 10, nn.Identity)) == [(3, 3), (5, 5)]


@every_network
def test_every_layer_but_the_output_layer_is_normalized(name: str) -> None:
    network = NETWORKS[name](MNIST, 10, BatchNorm)

    features = [module.num_features for _, module in list_normalizers(network) if isinstance(module, BatchNorm)]

    assert features == [outputs for _, outputs in LAYERS[name][0]]
    assert [type(module) for _, module in network.named_children()][-1] is nn.Linear
    assert network.get_parameter("output.bias").shape == (10,)


@every_network
def test_the_logits_are_what_the_output_layer_returns(name: str) -> None:
    network = NETWORKS[name](MNIST, 10, normalizer_named("batch"))
    images = torch.rand(4, *MNIST)
    nn.init.zeros_(network.get_parameter("output.weight"))
    nn.init.constant_(network.get_parameter("output.bias"), 3.0)

    assert torch.equal(network(images), torch.full((4, 10), 3.0))


def test_depth_width_and_dense_of_the_deep_network_can_be_set() -> None:
    network = DeepCNN((1, 9, 12), 7, nn.Identity, depth=4, width=2, dense=11)

    shapes = shapes_in(network, torch.rand(2, 1, 9, 12), (Block, nn.Flatten))

    assert shapes == [(2, 9, 12), (4, 9, 12), (6, 5, 6), (8, 5, 6), (240,), (11,)]
    assert network(torch.rand(2, 1, 9, 12)).shape == (2, 7)


def test_channels_and_kernels_of_the_convolutional_network_can_be_set() -> None:
    network = ConvNet(MNIST, 7, nn.Identity, channels=[3, 5, 2], kernel_sizes=[5, 3, 1])

    shapes = shapes_in(network, torch.rand(2, *MNIST), (Block, nn.Flatten))

    assert shapes == [(3, 28, 28), (5, 14, 14), (2, 7, 7), (18,)]
    assert network(torch.rand(2, *MNIST)).shape == (2, 7)


@pytest.mark.parametrize("hidden", [[], [5], [100, 50, 20]])
def test_the_hidden_layers_of_the_perceptron_can_be_set(hidden: list[int]) -> None:
    network = MLP(MNIST, 7, nn.Identity, hidden=hidden)

    assert shapes_in(network, torch.rand(2, *MNIST), (Block,)) == [(width,) for width in hidden]
    assert network(torch.rand(2, *MNIST)).shape == (2, 7)


def test_a_perceptron_without_hidden_layers_is_linear() -> None:
    network = MLP(MNIST, 10, normalizer_named("batch"), hidden=[]).double()
    one, other = torch.rand(2, 4, *MNIST, dtype=torch.float64)

    torch.testing.assert_close(network((one + other) / 2), (network(one) + network(other)) / 2)


@every_network
@pytest.mark.parametrize(("activation", "kind"), [("relu", nn.ReLU), ("tanh", nn.Tanh), ("gelu", nn.GELU)])
def test_the_activation_can_be_set_for_every_block(name: str, activation: str, kind: type[nn.Module]) -> None:
    network = NETWORKS[name](MNIST, 10, nn.Identity, activation=activation)

    activations = [module for module in network.modules() if type(module) in ACTIVATIONS.values()]

    assert len([each for each in activations if type(each) is kind]) == len(LAYERS[name][0])
    assert {type(each) for each in activations} <= {kind, nn.Identity}


@every_network
@pytest.mark.parametrize("input_shape", [(3, 32, 32), (1, 8, 8), (2, 11, 5)])
def test_a_network_fits_images_of_other_shapes(name: str, input_shape: tuple[int, int, int]) -> None:
    network = NETWORKS[name](input_shape, 4, normalizer_named("batch"))

    assert network(torch.rand(2, *input_shape)).shape == (2, 4)


@every_network
def test_the_shipped_config_of_a_network_equals_its_defaults(name: str) -> None:
    from_config = bind(compose(f"model={name}").settings, "model")(MNIST, 10, nn.Identity)

    assert str(from_config) == str(NETWORKS[name](MNIST, 10, nn.Identity))
    assert type(from_config) is NETWORKS[name]


@pytest.mark.parametrize(
    ("network", "settings", "message"),
    [
        (DeepCNN, {"depth": 0}, "depth, width and dense must be at least 1, got 0, 4 and 100"),
        (DeepCNN, {"width": 0}, "depth, width and dense must be at least 1, got 19, 0 and 100"),
        (DeepCNN, {"dense": -1}, "depth, width and dense must be at least 1, got 19, 4 and -1"),
        (MLP, {"hidden": [100, 0]}, r"every width in hidden must be at least 1, got \[100, 0\]"),
        (ConvNet, {"channels": [6]}, "one entry per convolution, got 1 and 2"),
        (ConvNet, {"kernel_sizes": [3, 5, 3]}, "one entry per convolution, got 2 and 3"),
        (
            ConvNet,
            {"channels": [2] * 5, "kernel_sizes": [3] * 5},
            r"leave nothing of an image of \(28, 28\): use fewer",
        ),
        (DeepCNN, {"activation": "rlu"}, "no activation 'rlu'"),
        (MLP, {"activation": "rlu"}, "no activation 'rlu'"),
        (ConvNet, {"activation": "rlu"}, "no activation 'rlu'"),
    ],
    ids=str,
)
def test_a_network_that_cannot_be_built_raises_an_error_that_says_why(
    network: Callable[..., nn.Module], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        network(MNIST, 10, nn.Identity, **settings)


def test_images_smaller_than_the_poolings_raise_an_error() -> None:
    with pytest.raises(ValueError, match=r"2 poolings leave nothing of an image of \(28, 3\)"):
        ConvNet((1, 28, 3), 10, nn.Identity)


def test_the_perceptron_computes_what_its_weights_say() -> None:
    network = MLP((1, 2, 3), 4, nn.Identity, hidden=[5]).double()
    initialize(network, 0, GlorotUniform())
    images = torch.rand(3, 1, 2, 3, dtype=torch.float64)

    hidden = (images.reshape(3, 6) @ network.get_parameter("hidden.0.linear_map.weight").T).clamp(min=0)

    torch.testing.assert_close(network(images), hidden @ network.get_parameter("output.weight").T)


@every_network
def test_in_inference_an_image_is_scored_alike_whatever_batch_it_is_in(name: str) -> None:
    network = NETWORKS[name](MNIST, 10, normalizer_named("tf_layers")).double()
    images = torch.rand(4, *MNIST, dtype=torch.float64)
    network(images)
    network.eval()

    torch.testing.assert_close(torch.cat([network(image[None]) for image in images]), network(images))


@pytest.mark.parametrize("wrong", [{"channels": (0, 16)}, {"kernel_sizes": (0, 5)}, {"channels": (6, -1)}])
def test_convolutions_without_channels_or_size_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        ConvNet((1, 28, 28), 10, nn.Identity, **wrong)


@every_network
def test_every_normalizer_of_a_network_comes_after_the_activation_if_asked(name: str) -> None:
    network = NETWORKS[name](MNIST, 10, BatchNorm, normalization_place="after")
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    assert blocks
    assert {block.place for block in blocks} == {"after"}
    assert {type(block.activation) for block in blocks} == {nn.ReLU}
    assert network(torch.randn(2, *MNIST)).shape == (2, 10)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_pooled_values_and_gradients_are_those_of_activations_that_are_pooled(activation: str) -> None:
    images = torch.randn(4, 3, 7, 6, generator=generator(0, "images")).round(decimals=1)  # some are alike
    stage = nn.Sequential(*make_stage(3, 3, 1, lambda features: nn.Identity(), activation, "before"))
    with torch.no_grad():
        stage.get_parameter("0.linear_map.weight").copy_(torch.eye(3)[:, :, None, None])
        stage.get_parameter("0.linear_map.bias").zero_()
    gradients = []
    for way in (stage, nn.Sequential(ACTIVATIONS[activation](), nn.MaxPool2d(2))):
        inputs = images.clone().requires_grad_()
        outputs = way(inputs)
        outputs.square().sum().backward()
        gradients.append((outputs, inputs.grad))
    assert gradients[0][0].shape == (4, 3, 3, 3)
    torch.testing.assert_close(*gradients)
