"""The stream of batches: a pure function of (seed, step), in the order of TensorFlow's `next_batch`."""

from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from normlab.data import BatchStream, Classification, Split
from normlab.data.batches import Shard

sizes_and_batches = st.integers(1, 40).flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size)))
quick = settings(deadline=None, max_examples=80)


def split_of(size: int) -> Split:
    """Every example shows its own position, as its pixel and as its label."""
    positions = torch.arange(size)
    return Split(positions.to(torch.uint8).view(size, 1, 1, 1), positions)


def stream(size: int, batch_size: int, steps: int = 10, seed: int = 0, name: str = "train") -> BatchStream:
    return BatchStream(split_of(size), Classification().prepare, batch_size, steps, seed, name)


def drawn(batches: BatchStream, steps: int) -> list[list[int]]:
    return [batches.indices(step).tolist() for step in range(steps)]


@quick
@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_the_parts_of_a_batch_are_the_batch_cut_in_order(parts: int, part_size: int, step: int, seed: int) -> None:
    batches = stream(40, parts * part_size, seed=seed)
    cut = [batches.examples(batches.indices(step, Shard(number, parts))) for number in range(parts)]
    assert [len(labels) for _, labels in cut] == [part_size] * parts
    for whole, pieces in zip(batches.batch(step), zip(*cut, strict=True), strict=True):
        assert torch.equal(torch.cat(pieces), whole)


def next_batch(size: int, batch_size: int, shuffles: Callable[[int], list[int]]) -> Iterator[list[int]]:
    """The order of `next_batch` in TensorFlow's MNIST tutorial, written as it is there: by moving a position."""
    epochs_completed, index_in_epoch = 0, 0
    order = shuffles(0)
    while True:
        start = index_in_epoch
        if start + batch_size > size:
            epochs_completed += 1
            rest = order[start:size]
            order = shuffles(epochs_completed)
            index_in_epoch = batch_size - len(rest)
            yield rest + order[0:index_in_epoch]
        else:
            index_in_epoch += batch_size
            yield order[start:index_in_epoch]


@quick
@given(sizes_and_batches, st.integers(0, 2**32 - 1))
@example((12, 12), 0)
@example((12, 4), 0)
@example((12, 5), 0)
@example((12, 1), 0)
@example((1, 1), 0)
def test_the_order_is_that_of_next_batch(size_and_batch: tuple[int, int], seed: int) -> None:
    size, batch_size = size_and_batch
    # With batches as large as the split, the batch of step e is the shuffle of epoch e.
    whole = stream(size, size, seed=seed)
    reference = next_batch(size, batch_size, lambda epoch: whole.indices(epoch).tolist())
    steps = 4 * size // batch_size + 2
    assert drawn(stream(size, batch_size, seed=seed), steps) == [next(reference) for _ in range(steps)]


@quick
@given(sizes_and_batches)
def test_each_epoch_covers_the_split_exactly_once(size_and_batch: tuple[int, int]) -> None:
    size, batch_size = size_and_batch
    batches = stream(size, batch_size)
    sequence = [index for batch in drawn(batches, 3 * size // batch_size + 1) for index in batch]
    for epoch in range(3):
        assert sorted(sequence[epoch * size : (epoch + 1) * size]) == list(range(size))


@quick
@given(sizes_and_batches)
def test_every_batch_has_batch_size_examples(size_and_batch: tuple[int, int]) -> None:
    size, batch_size = size_and_batch
    assert {len(indices) for indices in drawn(stream(size, batch_size), 50)} == {batch_size}


@quick
@given(sizes_and_batches, st.lists(st.integers(0, 200), min_size=1, max_size=12))
def test_a_batch_does_not_depend_on_what_was_asked_before(size_and_batch: tuple[int, int], steps: list[int]) -> None:
    asked = stream(*size_and_batch)
    for step in steps:
        assert torch.equal(asked.indices(step), stream(*size_and_batch).indices(step))


def test_asking_backwards_gives_the_same_batches() -> None:
    forwards, backwards = stream(13, 5), stream(13, 5)
    expected = drawn(forwards, 20)
    assert [backwards.indices(step).tolist() for step in reversed(range(20))] == expected[::-1]


def test_the_number_of_steps_does_not_change_the_batches() -> None:
    assert drawn(stream(13, 5, steps=1), 20) == drawn(stream(13, 5, steps=1000), 20)


def test_the_global_random_state_neither_matters_nor_moves() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = drawn(stream(13, 5), 10)
        torch.manual_seed(2)
        before = torch.get_rng_state()
        assert drawn(stream(13, 5), 10) == first
        assert torch.equal(torch.get_rng_state(), before)


def test_epochs_are_shuffled_differently() -> None:
    whole = stream(40, 40)
    shuffles = {tuple(whole.indices(epoch).tolist()) for epoch in range(10)}
    assert len(shuffles) == 10
    assert tuple(range(40)) not in shuffles


def test_different_seeds_give_different_orders() -> None:
    orders = {tuple(stream(40, 40, seed=seed).indices(0).tolist()) for seed in range(10)}
    assert len(orders) == 10


def test_different_names_give_different_orders() -> None:
    assert drawn(stream(40, 8, name="train"), 5) != drawn(stream(40, 8, name="val"), 5)


def test_the_name_is_train_unless_given() -> None:
    unnamed = BatchStream(split_of(40), Classification().prepare, 8, 10, 0)
    assert drawn(unnamed, 5) == drawn(stream(40, 8, name="train"), 5)


@pytest.mark.parametrize("batch_size", [8, 100, 0, -1])
def test_an_impossible_batch_size_is_refused_and_both_sizes_named(batch_size: int) -> None:
    message = f"^batch_size is {batch_size}, but the train split has 7 examples: choose 1 to 7$"
    with pytest.raises(ValueError, match=message):
        stream(7, batch_size)


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_iterating_yields_the_batches_of_all_steps(steps: int) -> None:
    batches = stream(13, 5, steps=steps)
    assert len(batches) == steps
    listed = list(batches)
    assert len(listed) == steps
    for step, (images, labels) in enumerate(listed):
        expected_images, expected_labels = batches.batch(step)
        assert torch.equal(images, expected_images)
        assert torch.equal(labels, expected_labels)


def test_iterating_again_starts_again() -> None:
    batches = stream(13, 5)
    assert [labels.tolist() for _, labels in batches] == [labels.tolist() for _, labels in batches]


def test_images_and_labels_of_a_batch_belong_together() -> None:
    batches = stream(40, 7)
    for step in range(12):
        images, labels = batches.batch(step)
        assert torch.equal(labels, batches.indices(step))
        assert (images.flatten() * 255).round().long().tolist() == labels.tolist()


def test_bytes_stay_in_memory_and_float32_comes_out() -> None:
    split = split_of(13)
    original = split.inputs.clone()
    batches = BatchStream(split, Classification().prepare, 5, 10, 0)
    images, labels = batches.batch(2)
    assert images.dtype == torch.float32
    assert images.shape == (5, 1, 1, 1)
    assert labels.dtype == torch.int64
    assert batches.split.inputs.dtype == torch.uint8
    assert batches.split.inputs.data_ptr() == split.inputs.data_ptr()
    assert torch.equal(split.inputs, original)


def test_only_the_examples_of_the_batch_are_preprocessed() -> None:
    seen: list[Tensor] = []

    def preprocess(images: Tensor) -> Tensor:
        seen.append(images)
        return -Classification().prepare(images)

    batches = BatchStream(split_of(13), preprocess, 5, 10, 0)
    images, labels = batches.batch(2)
    assert [tuple(part.shape) for part in seen] == [(5, 1, 1, 1)]
    assert torch.allclose(images.flatten(), -labels / 255)
