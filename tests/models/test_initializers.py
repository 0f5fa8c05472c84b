"""Starting weights: their distributions, and that networks with one seed share them."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from normlab.models import (
    MLP,
    ConvNet,
    DeepCNN,
    GlorotUniform,
    HeNormal,
    Normal,
    TruncatedNormal,
    initialize,
)
from normlab.models.initializers import Initializer
from normlab.models.layers import NormalizerFactory
from normlab.normalizers import BatchNorm
from normlab.randomness import generator

MNIST = (1, 28, 28)
NORMALIZERS: dict[str, NormalizerFactory] = {
    "none": nn.Identity,
    "batch": BatchNorm,
    "slim": partial(BatchNorm, scale=False),
    "batch_norm_1d": partial(BatchNorm, random_start=True, linear_bias=True),
}
NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "mlp": partial(MLP, hidden=(20, 30)),
    "convnet": ConvNet,
    "deep_cnn": partial(DeepCNN, depth=6),
}
# A standard normal variable cut at ±2: 1 − 4 φ(2) / (2 Φ(2) − 1) is its variance.
STD_OF_CUT_NORMAL = math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))

dense_and_convolution = pytest.mark.parametrize(
    ("shape", "fan_in", "fan_out"), [((300, 200), 200, 300), ((64, 32, 5, 5), 800, 1600)], ids=["dense", "convolution"]
)


def drawn(initializer: Initializer, shape: tuple[int, ...] = (300, 200), seed: int = 0) -> Tensor:
    weight = torch.full(shape, math.nan)
    initializer(weight, generator(seed, "weight"))
    return weight


def initialized(
    name: str, normalizer: str = "none", seed: int = 0, initializer: Initializer | None = None, **settings: int
) -> dict[str, Tensor]:
    """Return the parameters and buffers of a new network after `initialize`."""
    network = NETWORKS[name](MNIST, 10, NORMALIZERS[normalizer], **settings)
    initialize(network, seed, initializer or GlorotUniform())
    return network.state_dict()


def weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of dense layers and convolutions."""
    return {name: value for name, value in state.items() if name.endswith(("linear_map.weight", "output.weight"))}


@dense_and_convolution
def test_glorot_uniform_fills_its_interval_evenly(shape: tuple[int, ...], fan_in: int, fan_out: int) -> None:
    limit = math.sqrt(6 / (fan_in + fan_out))

    weight = drawn(GlorotUniform(), shape)

    assert 0.999 * limit < weight.abs().max().item() <= limit * (1 + 1e-6)
    assert weight.mean().item() == pytest.approx(0, abs=0.02 * limit)
    assert weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.01)
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert (weight < (2 * share - 1) * limit).double().mean().item() == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("std", [0.05, 0.3])
def test_normal_draws_have_their_standard_deviation_and_the_tails_of_a_normal_distribution(std: float) -> None:
    weight = drawn(Normal(std))

    assert weight.mean().item() == pytest.approx(0, abs=0.02 * std)
    assert weight.std().item() == pytest.approx(std, rel=0.01)
    assert (weight.abs() > 2 * std).double().mean().item() == pytest.approx(math.erfc(math.sqrt(2)), abs=0.004)


@pytest.mark.parametrize("std", [0.05, 0.3])
def test_truncated_normal_draws_are_cut_at_two_standard_deviations(std: float) -> None:
    weight = drawn(TruncatedNormal(std))

    assert 1.99 * std < weight.abs().max().item() <= 2 * std * (1 + 1e-6)
    assert weight.mean().item() == pytest.approx(0, abs=0.02 * std)
    assert weight.std().item() == pytest.approx(STD_OF_CUT_NORMAL * std, rel=0.01)


def test_truncated_normal_draws_are_drawn_again_and_not_piled_up_at_the_cut() -> None:
    weight = drawn(TruncatedNormal(1.0))

    # Between 1.9 and 2 standard deviations the cut density puts 1.25 % of all draws; clipping would put 5.7 % there.
    expected = (math.erf(2 / math.sqrt(2)) - math.erf(1.9 / math.sqrt(2))) / math.erf(2 / math.sqrt(2))
    assert (weight.abs() > 1.9).double().mean().item() == pytest.approx(expected, abs=0.003)


def test_the_standard_deviation_of_a_cut_normal_variable_is_0_8796() -> None:
    assert pytest.approx(0.8796, abs=5e-5) == STD_OF_CUT_NORMAL


@dense_and_convolution
def test_he_normal_draws_have_variance_two_over_fan_in(shape: tuple[int, ...], fan_in: int, fan_out: int) -> None:
    del fan_out
    weight = drawn(HeNormal(), shape)

    std = math.sqrt(2 / fan_in)
    assert weight.mean().item() == pytest.approx(0, abs=0.02 * std)
    assert weight.std().item() == pytest.approx(std, rel=0.01)
    assert (weight.abs() > 2 * std).double().mean().item() == pytest.approx(math.erfc(math.sqrt(2)), abs=0.004)


@pytest.mark.parametrize("initializer", [Normal(), TruncatedNormal()], ids=["normal", "truncated normal"])
def test_the_standard_deviation_is_a_twentieth_by_default(initializer: Normal | TruncatedNormal) -> None:
    assert initializer.std == 0.05


@pytest.mark.parametrize("initializer", [Normal, TruncatedNormal])
@pytest.mark.parametrize("std", [0.0, -0.1, math.nan, math.inf])
def test_a_standard_deviation_that_is_not_positive_raises_an_error(
    initializer: Callable[[float], Initializer], std: float
) -> None:
    with pytest.raises(ValueError, match=f"std must be a positive number, got {std}"):
        initializer(std)


@pytest.mark.parametrize("initializer", [GlorotUniform(), Normal(), TruncatedNormal(), HeNormal()])
def test_draws_come_from_the_given_generator_alone(initializer: Initializer) -> None:
    torch.manual_seed(1)
    first = drawn(initializer)
    torch.manual_seed(2)

    assert torch.equal(drawn(initializer), first)
    assert not torch.equal(drawn(initializer, seed=1), first)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("normalizer", [name for name in NORMALIZERS if name != "none"])
def test_networks_with_one_seed_and_different_normalizers_have_the_same_weights(name: str, normalizer: str) -> None:
    plain, normalized = weights(initialized(name, "none")), weights(initialized(name, normalizer))

    assert plain.keys() == normalized.keys()
    assert all(torch.equal(plain[layer], normalized[layer]) for layer in plain)


def test_more_convolutions_leave_the_weights_of_the_layers_in_front_untouched() -> None:
    shallow, deep = weights(initialized("deep_cnn", depth=6)), weights(initialized("deep_cnn", depth=9))

    shared = [layer for layer in shallow if layer in deep and shallow[layer].shape == deep[layer].shape]

    assert shared == [*(f"convolutions.{i}.linear_map.weight" for i in range(6)), "output.weight"]
    assert all(torch.equal(shallow[layer], deep[layer]) for layer in shared)


@pytest.mark.parametrize("name", NETWORKS)
def test_another_seed_gives_every_layer_other_weights(name: str) -> None:
    one, other = weights(initialized(name, seed=0)), weights(initialized(name, seed=1))

    assert not any(torch.equal(one[layer], other[layer]) for layer in one)


@pytest.mark.parametrize("name", NETWORKS)
def test_one_seed_gives_the_same_network_again(name: str) -> None:
    one, again = initialized(name, "batch_norm_1d"), initialized(name, "batch_norm_1d")

    assert all(torch.equal(one[value], again[value]) for value in one)


def test_layers_of_one_shape_in_one_network_start_with_different_weights() -> None:
    network = MLP(MNIST, 10, nn.Identity, hidden=(20, 20, 20))
    initialize(network, 0, GlorotUniform())

    one, other = (network.get_parameter(f"hidden.{i}.linear_map.weight") for i in (1, 2))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_comes_from_the_stream_named_after_it(name: str) -> None:
    for layer, weight in weights(initialized(name, seed=3)).items():
        expected = torch.empty(weight.shape)
        GlorotUniform()(expected, generator(3, layer))
        assert torch.equal(weight, expected)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_biases_of_linear_maps_start_at_zero(name: str, normalizer: str) -> None:
    state = initialized(name, normalizer)

    biases = [value for layer, value in state.items() if layer.endswith(("linear_map.bias", "output.bias"))]

    assert biases
    assert not any(bias.any() for bias in biases)


def test_scale_and_shift_of_a_random_start_come_from_the_streams_named_after_them() -> None:
    state = initialized("mlp", "batch_norm_1d", seed=3)

    for i, width in enumerate((20, 30)):
        for parameter in ("weight", "bias"):
            name = f"hidden.{i}.normalizer.{parameter}"
            assert torch.equal(state[name], torch.randn(width, generator=generator(3, name)))


def test_scale_and_shift_start_at_one_and_zero_without_a_random_start() -> None:
    state = initialized("mlp", "batch")

    assert torch.equal(state["hidden.0.normalizer.weight"], torch.ones(20))
    assert torch.equal(state["hidden.0.normalizer.bias"], torch.zeros(20))


def test_a_convolution_initializer_changes_the_convolutions_alone() -> None:
    network = DeepCNN(MNIST, 10, nn.Identity, depth=6)
    initialize(network, 0, GlorotUniform(), TruncatedNormal(0.05))
    plain = initialized("deep_cnn")

    for layer, weight in weights(network.state_dict()).items():
        expected = plain[layer].clone(memory_format=torch.contiguous_format)
        if layer.startswith("convolutions"):
            TruncatedNormal(0.05)(expected, generator(0, layer))
            assert not torch.equal(weight, plain[layer])
        assert torch.equal(weight, expected)


def test_the_global_generator_has_no_part_in_starting_weights() -> None:
    torch.manual_seed(1)
    one = initialized("convnet", "batch_norm_1d")
    torch.manual_seed(2)
    other = initialized("convnet", "batch_norm_1d")

    assert all(torch.equal(one[name], other[name]) for name in one)


def test_starting_weights_leave_the_global_generator_as_it_is() -> None:
    network = ConvNet(MNIST, 10, NORMALIZERS["batch_norm_1d"])
    before = torch.get_rng_state()

    initialize(network, 0, GlorotUniform(), TruncatedNormal())

    assert torch.equal(torch.get_rng_state(), before)


def test_starting_weights_keep_their_gradients_on() -> None:
    network = ConvNet(MNIST, 10, NORMALIZERS["batch_norm_1d"])

    initialize(network, 0, GlorotUniform())

    assert all(parameter.requires_grad and parameter.is_leaf for parameter in network.parameters())


class Recurrent(nn.Module):
    """Layers of torch.nn that draw their own weights, behind as many embeddings as asked for."""

    def __init__(self, embeddings: int) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(5, 4) for _ in range(embeddings))
        self.lstm = nn.LSTM(4, 3, num_layers=2)
        self.attention = nn.MultiheadAttention(4, 2)
        self.convolution = nn.Conv1d(4, 4, 3)
        self.normalizer = nn.BatchNorm1d(4)
        self.output = nn.Linear(4, 2)


def test_every_module_of_torch_starts_from_a_stream_of_its_name() -> None:
    states = []
    for embeddings in (1, 2):
        torch.manual_seed(embeddings)
        network = Recurrent(embeddings)
        assert initialize(network, 3, GlorotUniform()) == []
        states.append(network.state_dict())
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    assert not torch.equal(states[1]["embeddings.0.weight"], states[1]["embeddings.1.weight"])
    assert states[0]["lstm.weight_ih_l0"].abs().max() <= 1 / math.sqrt(3)  # as torch draws them


def test_drawing_weights_leaves_the_global_generator_as_it_was() -> None:
    torch.manual_seed(0)
    network = Recurrent(1)
    before = torch.get_rng_state()
    initialize(network, 3, GlorotUniform())
    assert torch.equal(torch.get_rng_state(), before)


class Drawn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.noise = nn.Parameter(torch.randn(3))
        self.scale = nn.Parameter(torch.ones(3))


class Redrawn(Drawn):
    def reset_parameters(self) -> None:
        nn.init.normal_(self.noise)


def test_parameters_that_cannot_be_paired_are_named_and_constant_ones_need_no_pairing() -> None:
    assert initialize(nn.Sequential(nn.Linear(2, 3), Drawn()), 0, GlorotUniform()) == ["1.noise"]
    first, second = Redrawn(), Redrawn()
    for module in (first, second):
        assert initialize(nn.Sequential(module), 0, GlorotUniform()) == []
    assert torch.equal(first.noise, second.noise)


class Forgetful(nn.Module):
    """Sets the biases of a layer in it, which that layer would draw."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 3)

    def reset_parameters(self) -> None:
        nn.init.ones_(self.lstm.get_parameter("bias_hh_l0"))


def test_a_network_that_sets_weights_of_its_layers_has_the_last_word() -> None:
    network = Forgetful()
    initialize(network, 0, GlorotUniform())
    assert torch.equal(network.lstm.get_parameter("bias_hh_l0"), torch.ones(12))
