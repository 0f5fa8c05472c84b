"""Noise behind batch normalization: its distributions, and that it depends on seed and count of updates alone."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from normlab.normalizers import BatchNorm, NoisyBatchNorm
from normlab.normalizers.counted_noise import draw_uniform, make_key
from normlab.randomness import generator

from ..two_processes import Together, two_processes
from .test_batch_norm import assert_same_training, both_ranks, random_batches
from .test_synchronized import joined, part_passed_through, passed_through

ONE = torch.ones((), dtype=torch.int64)


def seeded(seed: int = 0, features: int = 3, **settings: Any) -> NoisyBatchNorm:
    layer = NoisyBatchNorm(features, **settings)
    layer.draw_parameters(lambda name: generator(seed, name))
    return layer


def noise_of(layer: NoisyBatchNorm, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return the factors and terms of the next update: two passes from one state have the same."""
    one, other = (torch.randn(shape, generator=generator(0, name), dtype=torch.float64) for name in ("one", "other"))
    plain = BatchNorm(shape[1]).double()
    noisy = [copy.deepcopy(layer).double()(inputs).detach() for inputs in (one, other)]
    clean = [plain(inputs).detach() for inputs in (one, other)]
    factors = (noisy[0] - noisy[1]) / (clean[0] - clean[1])
    return factors, noisy[0] - factors * clean[0]


@both_ranks
def test_noise_that_is_always_zero_and_one_leaves_batch_normalization(rank: str) -> None:
    quiet = seeded(mean_range=0.0, largest_scale=1.0, mean_spread=0.0, scale_spread=0.0).double()
    assert_same_training(quiet, BatchNorm(3).double(), random_batches(rank), atol=1e-12)


def test_noise_has_the_distributions_of_the_paper() -> None:
    factors, terms = noise_of(seeded(features=400), (500, 400))
    means, scales = terms.mean(0), factors.median(0).values
    assert (terms - means).abs().max() < 0.2  # a mean of 500 draws is near that of their distribution
    assert 0.45 < means.abs().max() < 0.51
    assert means.std().item() == pytest.approx(1 / 12**0.5, rel=0.1)  # U(−0.5, 0.5)
    assert terms.std(0).mean().item() == pytest.approx(0.2 / 12**0.5, rel=0.02)  # U(−0.1, 0.1)
    assert scales.min() > 0.97
    assert scales.max() < 1.28
    assert scales.mean().item() == pytest.approx(1.125, abs=0.02)  # U(1, 1.25)
    deviations = (factors - scales) / 0.1
    assert deviations.quantile(0.8413).item() == pytest.approx(1, abs=0.02)  # of N(0, 1)
    assert deviations.quantile(0.0228).item() == pytest.approx(-2, abs=0.05)


def quantities(layer: NoisyBatchNorm) -> Tensor:
    return torch.cat([each.flatten() for each in noise_of(layer, (16, 3, 2))])


def test_noise_is_another_in_every_update_and_for_every_seed_and_the_same_again() -> None:
    layer = seeded()
    first = quantities(layer)
    torch.manual_seed(7)
    torch.testing.assert_close(quantities(layer), first)
    torch.testing.assert_close(quantities(seeded()), first)
    layer(torch.randn(16, 3, 2))
    for other in (quantities(layer), quantities(seeded(seed=1))):
        assert (other - first).abs().min() > 0
        assert torch.corrcoef(torch.stack([other[:96], first[:96]]))[0, 1].abs() < 0.5
    assert not torch.equal(seeded(0).noise_seed, seeded(1).noise_seed)


def test_drawing_it_moves_no_generator() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    seeded()(torch.ones(4, 3))
    assert torch.equal(torch.rand(4), expected)


def test_inference_has_no_noise() -> None:
    layer, plain = seeded(), BatchNorm(3)
    for batch in random_batches("2-D", dtype=torch.float32):
        layer(batch)
        plain(batch)
    torch.testing.assert_close(layer.eval()(batch), plain.eval()(batch))


@pytest.mark.parametrize(
    "settings", [{"largest_scale": 0.9}, {"mean_range": -0.1}, {"mean_spread": -1.0}, {"scale_spread": -1.0}], ids=str
)
def test_ranges_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        NoisyBatchNorm(3, **settings)


@pytest.fixture(scope="module")
def together() -> Iterator[Together]:
    with two_processes() as together:
        yield together


@pytest.mark.parametrize("shape", [(8, 3), (8, 3, 2, 4)])
def test_two_processes_add_to_the_halves_of_a_batch_the_noise_of_the_whole(
    together: Together, shape: tuple[int, ...]
) -> None:
    layer = seeded().double()
    inputs, towards = (torch.randn(shape, generator=generator(0, name), dtype=torch.float64) for name in "xy")
    parts = zip(inputs.chunk(2), towards.chunk(2), strict=True)
    found = joined(together(part_passed_through, [(copy.deepcopy(layer), *part) for part in parts]))
    for name, value in passed_through(layer, inputs, towards).items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-9)


def test_counted_numbers_are_uniform_and_reach_neither_end() -> None:
    numbers = draw_uniform(make_key(ONE, 5), (1_000_000,)).double()
    assert numbers.min() > 0
    assert numbers.max() < 1
    steps = torch.arange(1, len(numbers) + 1, dtype=torch.float64) / len(numbers)
    assert (numbers.sort().values - steps).abs().max() < 2 / len(numbers) ** 0.5  # Kolmogorov and Smirnov
    pairs = torch.histogramdd(numbers.view(-1, 2), bins=[16, 16], range=[0.0, 1.0, 0.0, 1.0]).hist
    expected = len(numbers) / 2 / 256
    chi_squared = ((pairs - expected) ** 2 / expected).sum()
    assert chi_squared.item() == pytest.approx(255, abs=5 * (2 * 255) ** 0.5)


@pytest.mark.parametrize("words", [((0,), (1,)), ((0, 1), (1, 0)), ((0,), (0, 0)), ((7, 2**31), (7, 2**31 + 1))])
def test_streams_of_other_keys_have_nothing_in_common(words: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    one, other = (draw_uniform(make_key(ONE, *each), (100_000,)).double() for each in words)
    for shift in range(4):
        assert torch.corrcoef(torch.stack([one, other.roll(shift)]))[0, 1].abs() < 5 / 100_000**0.5


def test_positions_of_a_stream_can_be_drawn_in_parts() -> None:
    key = make_key(ONE, 3)
    whole = draw_uniform(key, (6, 4))
    assert torch.equal(torch.cat([draw_uniform(key, (2, 4)), draw_uniform(key, (4, 4), first=8)]), whole)


def test_each_of_several_keys_gives_under_vmap_what_it_gives_alone() -> None:
    seeds = torch.tensor([0, 1, 2**32 - 1])
    drawn = torch.func.vmap(lambda seed: draw_uniform(make_key(seed, 4), (5, 2)))(seeds)
    assert torch.equal(drawn, torch.stack([draw_uniform(make_key(seed, 4), (5, 2)) for seed in seeds]))
