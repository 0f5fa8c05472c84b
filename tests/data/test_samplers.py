"""Batches of few classes: their classes, their examples, and that they are a pure function of (seed, step).

Shuffled batches are tested with the stream in test_batches.py.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from normlab.config.compose import compose
from normlab.data import Classification, by_class
from normlab.errors import ConfigurationError
from normlab.training.build import build

TARGETS = torch.arange(60) ** 2 % 7  # of the classes 0, 1, 2 and 4


@settings(deadline=None, max_examples=60)
@given(
    classes=st.integers(1, 4),
    share=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
    steps=st.lists(st.integers(0, 500), min_size=1, max_size=5),
)
def test_a_batch_has_as_many_examples_of_each_of_its_classes_and_none_twice(
    classes: int, share: int, seed: int, steps: list[int]
) -> None:
    draw = by_class(TARGETS, classes * share, seed, "train", classes)
    for step in steps:
        positions = draw(step)
        _, counts = torch.unique(TARGETS[positions], return_counts=True)
        assert counts.tolist() == [share] * classes
        assert len(set(positions.tolist())) == len(positions)
        assert torch.equal(positions, by_class(TARGETS, classes * share, seed, "train", classes)(step))


def test_all_classes_and_all_their_examples_come_equally_often_in_any_place_of_a_batch() -> None:
    draw = by_class(TARGETS, 8, 0, "train", classes=2)
    drawn = torch.stack([draw(step) for step in range(4_000)])
    for place in (0, 7):
        shares = TARGETS[drawn[:, place]].bincount()[[0, 1, 2, 4]] / len(drawn)
        assert shares.tolist() == pytest.approx([0.25] * 4, abs=0.03)
    of_class = drawn.flatten().bincount(minlength=60)[TARGETS == 1] / (drawn.numel() / 4)
    assert of_class.tolist() == pytest.approx([1 / len(of_class)] * len(of_class), rel=0.15)


def test_the_examples_of_a_class_are_not_side_by_side() -> None:
    draw = by_class(TARGETS, 16, 0, "train", classes=2)
    first_halves = torch.stack([TARGETS[draw(step)[:8]] for step in range(50)])
    assert (first_halves != first_halves[:, :1]).any(dim=1).float().mean() > 0.9


def test_other_seeds_and_names_draw_other_batches() -> None:
    found = {tuple(by_class(TARGETS, 8, seed, name)(0).tolist()) for seed in range(3) for name in ("train", "val")}
    assert len(found) == 6


def test_a_run_with_as_many_classes_as_examples_has_ioffes_batches() -> None:
    batches = build(compose("data=digits", "batch_size=20", "sampler=by_class", "sampler.classes=10").settings)
    _, targets = batches.module.batches.batch(0)
    assert targets.bincount().tolist() == [2] * 10
    assert isinstance(batches.data.splits.task, Classification)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("sampler.classes=11",), "sampler.classes=11, but the train split has 10 classes: choose 1 to 10"),
        (("sampler.classes=0",), "sampler.classes=0, but the train split has 10 classes: choose 1 to 10"),
        (("sampler.classes=5",), "sampler.classes=5 does not divide batch_size=64: choose a divisor of it"),
        (("batch_size=400",), r"takes 200 examples of a class, but the train split has \d+ of class \d: choose more"),
        (
            ("data._target_=tests.small_tokens.SmallTokens", "model=language_model"),
            "sampler=by_class needs one class per example, which tokens have not: choose sampler=shuffled",
        ),
    ],
    ids=str,
)
def test_batches_that_cannot_be_drawn_are_refused_with_the_remedy(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build(compose("data=digits", "sampler=by_class", *overrides).settings)
