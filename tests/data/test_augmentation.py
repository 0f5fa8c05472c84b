"""Augmented batches: torchvision's functions on offsets that are a pure function of (seed, step)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from network_libraries import import_network_library
from torch import Tensor

from normlab.config.compose import compose
from normlab.data import BatchStream, Classification, CropFlip, Split
from normlab.data.batches import Shard
from normlab.errors import ConfigurationError
from normlab.training.build import build

quick = settings(deadline=None, max_examples=40)


def split_of(size: int, *shape: int) -> Split:
    """Images without zeros, so that padding shows, and their positions as targets."""
    images = torch.randint(1, 256, (size, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Split(images, torch.arange(size))


def stream(augmentation: CropFlip | None, seed: int = 0, batch_size: int = 12) -> BatchStream:
    return BatchStream(split_of(40, 3, 9, 7), Classification().prepare, batch_size, 10, seed, augmentation=augmentation)


@quick
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(3, 9), st.integers(3, 9)),
    padding=st.integers(0, 2),
    seed=st.integers(0, 2**32),
    is_float=st.booleans(),
)
def test_an_image_is_padded_cropped_and_flipped_as_by_torchvision(
    shape: tuple[int, int, int], padding: int, seed: int, is_float: bool
) -> None:
    functional = import_network_library("torchvision.transforms.functional")
    images = split_of(6, *shape).inputs
    images = images.double() / 255 if is_float else images
    augmentation = CropFlip(padding)
    draws = augmentation.draw(len(images), torch.Generator().manual_seed(seed))
    for found, image, (top, left, flip) in zip(augmentation.apply(images, draws), images, draws.tolist(), strict=True):
        expected = functional.crop(functional.pad(image, [padding] * 4), top, left, *shape[1:])
        assert torch.equal(found, functional.hflip(expected) if flip else expected)


@pytest.mark.parametrize("flip", [True, False])
def test_every_place_is_as_likely_as_any_other_and_half_of_all_images_are_flipped(flip: bool) -> None:
    draws = CropFlip(2, flip).draw(10_000, torch.Generator().manual_seed(0))
    for corner in (0, 1):
        shares = draws[:, corner].bincount() / len(draws)
        assert shares.tolist() == pytest.approx([1 / 5] * 5, abs=0.02)
    assert draws[:, 2].float().mean() == pytest.approx(0.5 * flip, abs=0.02)
    assert (draws[:, 0] == draws[:, 1]).float().mean() == pytest.approx(1 / 5, abs=0.02)


@quick
@given(st.lists(st.integers(0, 200), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_an_augmented_batch_is_a_function_of_seed_and_step_with_the_examples_of_the_plain_one(
    steps: list[int], seed: int
) -> None:
    asked, plain = stream(CropFlip(2), seed), stream(None, seed)
    for step in steps:
        images, targets = asked.batch(step)
        again, _ = stream(CropFlip(2), seed).batch(step)
        assert torch.equal(images, again)
        assert torch.equal(targets, plain.batch(step)[1])
        assert not torch.equal(images, plain.batch(step)[0])


def test_other_steps_and_seeds_change_an_image_otherwise() -> None:
    found = {
        tuple(stream(CropFlip(4), seed).indices(step)[:, 1:].flatten().tolist()) for seed in (0, 1) for step in (0, 1)
    }
    assert len(found) == 4


@quick
@given(parts=st.sampled_from([1, 2, 3, 4]), step=st.integers(0, 20))
def test_the_parts_of_an_augmented_batch_are_the_batch_cut_in_order(parts: int, step: int) -> None:
    batches = stream(CropFlip(2))
    cut = [batches.examples(batches.indices(step, Shard(number, parts))) for number in range(parts)]
    for whole, pieces in zip(batches.batch(step), zip(*cut, strict=True), strict=True):
        assert torch.equal(torch.cat(pieces), whole)


def test_the_batches_of_several_networks_are_augmented_each_for_itself() -> None:
    batches, other = stream(CropFlip(2), seed=0), stream(CropFlip(2), seed=1)
    stacked = batches.examples(torch.stack([batches.indices(3), other.indices(3)]))
    for number, one in enumerate((batches, other)):
        assert all(torch.equal(part[number], alone) for part, alone in zip(stacked, one.batch(3), strict=True))


def test_bytes_are_augmented_before_they_are_preprocessed() -> None:
    seen: list[Tensor] = []

    def preprocess(images: Tensor) -> Tensor:
        seen.append(images)
        return 1 - Classification().prepare(images)

    batches = BatchStream(split_of(40, 1, 6, 6), preprocess, 12, 10, 0, augmentation=CropFlip(5))
    images, _ = batches.batch(0)
    assert seen[0].dtype == torch.uint8
    assert images.max() == 1  # of padded zeros


def test_only_the_training_batches_of_a_run_are_augmented() -> None:
    overrides = ("data=digits", "batch_size=8", "augmentation=crop_flip", "augmentation.padding=2")
    parts, plain = build(compose(*overrides).settings), build(compose(*overrides[:2]).settings)
    assert not torch.equal(parts.module.batches.batch(0)[0], plain.module.batches.batch(0)[0])
    assert torch.equal(parts.test_batches.batch(0)[0], plain.test_batches.batch(0)[0])
    assert isinstance(parts.module.batches.augmentation, CropFlip)
    assert parts.module.batches.augmentation.padding == 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("augmentation.padding=-1",), "augmentation: padding=-1 must not be negative"),
        (("augmentation.padding=28",), "augmentation.padding=28 is no smaller than the images of 28×28, .* 0 to 27"),
        (("preprocessing=pca",), r"rotates them \(pca, zca\) .* choose augmentation=none or another preprocessing"),
        (
            ("data._target_=tests.small_tokens.SmallTokens", "model=language_model"),
            r"is for images \(N, C, H, W\), and these inputs have the shape \(300, 6\): choose augmentation=none",
        ),
        (("augmentation={_target_: builtins.list}",), "augmentation: list lacks check, draw, apply"),
    ],
    ids=str,
)
def test_what_cannot_be_augmented_is_refused_with_the_remedy(overrides: tuple[str, ...], message: str) -> None:
    chosen = () if overrides[0].startswith("augmentation={") else ("augmentation=crop_flip",)
    with pytest.raises(ConfigurationError, match=message):
        build(compose("data=digits", *chosen, *overrides).settings)
