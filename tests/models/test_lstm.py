"""The LSTM against that of torch, its readings of images, and its statistics per step."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from normlab.config.compose import compose
from normlab.errors import ConfigurationError
from normlab.models import LSTM
from normlab.models.layers import list_normalizers
from normlab.normalizers import BatchNorm, get_statistics_batch
from normlab.population.check import reason_not_vectorizable
from normlab.training.build import build

IMAGES = (2, 6, 5)
recurrent_batch_norm = partial(BatchNorm, initial_scale=0.1)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def lstm(normalizer: Callable[[int], nn.Module] = nn.Identity, **settings: Any) -> LSTM:
    torch.manual_seed(0)
    return LSTM(normalizer, **{"input_shape": IMAGES, "num_classes": 3, "hidden": 4, **settings}).double()


def language(normalizer: Callable[[int], nn.Module] = nn.Identity, **settings: Any) -> LSTM:
    return LSTM(normalizer, vocabulary_size=7, context=5, hidden=4, **settings).double()


def test_without_normalizers_logits_and_gradients_are_those_of_torch() -> None:
    ours, theirs = lstm(), nn.LSTM(10, 4, batch_first=True).double()
    order = torch.tensor([1, 0, 3, 2])  # torch has i, f, g, o where the paper has f, i, o, g
    with torch.no_grad():
        for own, other in ((ours.from_input.weight, "weight_ih_l0"), (ours.from_state.weight, "weight_hh_l0")):
            theirs.get_parameter(other).copy_(own.reshape(4, 4, -1)[order].flatten(0, 1))
        theirs.get_parameter("bias_ih_l0").copy_(ours.bias.reshape(4, 4)[order].flatten())
        theirs.get_parameter("bias_hh_l0").zero_()
    images = draw(8, *IMAGES)
    rows = images.transpose(1, 2).flatten(2)
    logits, expected = ours(images), ours.output(theirs(rows)[0][:, -1])
    torch.testing.assert_close(logits, expected)
    for output in (logits, expected):
        output.square().sum().backward()
    gradient = theirs.get_parameter("weight_hh_l0").grad
    assert gradient is not None
    assert ours.from_state.weight.grad is not None
    torch.testing.assert_close(ours.from_state.weight.grad.reshape(4, 4, -1)[order], gradient.reshape(4, 4, -1))


def test_pixels_are_read_in_the_order_of_a_permutation() -> None:
    images = draw(8, *IMAGES)
    order = [*range(29, -1, -1)]
    backwards = lstm(reads="permuted_pixels", permutation=order)
    torch.testing.assert_close(backwards(images), lstm(reads="pixels")(images.flip(2, 3)))


def test_a_seed_names_one_permutation_of_all_positions() -> None:
    one, same, other = (lstm(reads="permuted_pixels", permutation=seed).positions for seed in (1, 1, 2))
    assert one is not None
    assert same is not None
    assert other is not None
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert sorted(one.tolist()) == [*range(30)]


def test_images_are_shrunk_by_averaging() -> None:
    images = draw(8, 1, 6, 6)
    small = lstm(input_shape=(1, 6, 6), image_size=3, reads="pixels")
    torch.testing.assert_close(
        small(images), lstm(input_shape=(1, 3, 3), reads="pixels")(functional.avg_pool2d(images, 2))
    )


def test_running_averages_of_a_step_are_those_of_its_own_inputs() -> None:
    network = lstm(partial(BatchNorm, momentum=1.0), normalize_hidden=False, normalize_cell=False)
    images = draw(8, *IMAGES)
    network(images)
    projected = functional.linear(images.transpose(1, 2).flatten(2), network.from_input.weight)
    layers = [*network.normalize_input.earlier, network.normalize_input.normalizer]
    assert len(layers) == 6
    for step, layer in enumerate(layers):
        torch.testing.assert_close(layer.running_mean, projected[:, step].mean(0))


def test_shared_statistics_average_over_all_steps() -> None:
    network = lstm(BatchNorm, statistics="shared", normalize_hidden=False, normalize_cell=False)
    images = draw(8, *IMAGES)
    network(images)
    mean = torch.zeros(16, dtype=torch.float64)
    for inputs in images.transpose(1, 2).flatten(2).unbind(1):
        mean += 0.1 * (functional.linear(inputs, network.from_input.weight).mean(0) - mean)
    torch.testing.assert_close(network.normalize_input.normalizer.running_mean, mean)


def test_steps_beyond_the_last_one_use_its_statistics() -> None:
    network = language(BatchNorm)
    for seed in range(3):
        network(torch.randint(7, (8, 5), generator=torch.Generator().manual_seed(seed)))
    network.eval()
    last = network.normalize_cell.normalizer
    seen: list[Any] = []
    last.register_forward_hook(lambda *_: seen.append(1))
    assert network(torch.randint(7, (2, 9))).shape == (2, 9, 7)
    assert len(seen) == 5  # steps 5 to 9


def test_scale_and_shift_are_shared_by_all_steps() -> None:
    network = lstm(recurrent_batch_norm)
    for place in (network.normalize_input, network.normalize_hidden, network.normalize_cell):
        assert all(layer.weight is place.normalizer.weight for layer in place.earlier)
    names = [name for name, _ in network.named_parameters() if "normalize_" in name]
    assert len(names) == 6


def test_a_record_lists_the_statistics_of_one_step_of_each_place() -> None:
    sizes = get_statistics_batch(lstm(recurrent_batch_norm), 64, 1)
    assert sizes == {"normalize_input": 64, "normalize_hidden": 64, "normalize_cell": 64}


@pytest.mark.parametrize("place", ["normalize_input", "normalize_hidden", "normalize_cell"])
def test_each_place_can_be_left_without_a_normalizer(place: str) -> None:
    network = lstm(recurrent_batch_norm, **{place: False})
    assert place not in [name for name, _ in list_normalizers(network)]
    assert len(list_normalizers(network)) == 2


def test_the_forget_gate_starts_with_its_own_bias() -> None:
    assert lstm(forget_bias=2.0).bias.tolist() == [2.0] * 4 + [0.0] * 12


def test_tokens_are_classified_at_every_position_from_those_up_to_it() -> None:
    network = language()
    tokens = torch.tensor([[1, 2, 3, 4, 5]])
    changed = torch.tensor([[1, 2, 3, 0, 5]])
    logits, others = network(tokens), network(changed)
    assert logits.shape == (1, 5, 7)
    assert torch.equal(logits[:, :3], others[:, :3])
    assert not torch.equal(logits[:, 3:], others[:, 3:])


class WithActivation(nn.Identity):
    includes_activation = True


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 0}, "hidden must be at least 1"),
        ({"reads": "columns"}, "reads must be rows, pixels or permuted_pixels"),
        ({"image_size": 6}, "image_size must be 1 to 5"),
        ({"statistics": "none"}, "statistics must be per_step or shared"),
        (
            {"reads": "permuted_pixels", "permutation": [*range(31)]},
            "permutation has 31 positions, and must have each of 0 to 29 once",
        ),
        ({"reads": "permuted_pixels", "permutation": [0] * 30}, "must have each of 0 to 29 once"),
        ({"normalizer": WithActivation}, "WithActivation includes an activation"),
    ],
)
def test_a_setting_out_of_range_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lstm(**settings)


def test_a_permutation_is_a_seed_or_a_list_on_the_command_line() -> None:
    settings = ("data=digits", "model=lstm", "model.reads=permuted_pixels", "model.image_size=2")
    network = build(compose(*settings, "model.permutation=[3,1,2,0]").settings).module.network
    assert network.get_buffer("positions").tolist() == [3, 1, 2, 0]
    with pytest.raises(ConfigurationError, match="permutation has 5 positions"):
        build(compose(*settings, "model.permutation=[0,1,2,3,4]").settings)


def test_a_batch_of_one_is_refused_before_training() -> None:
    settings = ("data=digits", "model=lstm", "normalizer=batch", "batch_size=1")
    with pytest.raises(ConfigurationError, match="use a batch of at least two"):
        build(compose(*settings).settings)


@pytest.mark.parametrize("normalizer", ["none", "batch"])
def test_seeds_train_together(normalizer: str) -> None:
    settings = ("data=digits", "model=lstm", "model.image_size=4", "model.hidden=5", f"normalizer={normalizer}")
    modules = [build(compose(*settings, f"seed={seed}").settings).module.train() for seed in (0, 1)]
    assert reason_not_vectorizable(modules) is None
