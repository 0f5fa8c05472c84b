"""The digits that ship with scikit-learn, as a data source."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from normlab.data import Split, Splits, digits
from normlab.randomness import generator

ORDER = torch.randperm(1797, generator=generator(0, "digits")).numpy()


@pytest.fixture(scope="module")
def source() -> Splits:
    return digits()


def in_shuffled_order(source: Splits) -> Split:
    parts = (source.val, source.train, source.test)
    return Split(torch.cat([part.inputs for part in parts]), torch.cat([part.targets for part in parts]))


@pytest.mark.parametrize(("name", "size"), [("train", 1247), ("val", 250), ("test", 300)])
def test_each_split_has_its_size_shape_and_types(source: Splits, name: str, size: int) -> None:
    split: Split = getattr(source, name)
    assert split.inputs.shape == (size, 1, 28, 28)
    assert split.inputs.dtype == torch.uint8
    assert split.targets.shape == (size,)
    assert split.targets.dtype == torch.int64


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_each_split_has_all_ten_classes(source: Splits, name: str) -> None:
    split: Split = getattr(source, name)
    assert set(split.targets.tolist()) == set(range(10))


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_pixels_range_from_0_to_255(source: Splits, name: str) -> None:
    split: Split = getattr(source, name)
    assert split.inputs.min() == 0
    assert split.inputs.max() == 255


def test_every_image_of_the_file_appears_once_in_an_order_that_never_changes(source: Splits) -> None:
    assert in_shuffled_order(source).targets.tolist() == load_digits().target[ORDER].tolist()


def test_asking_twice_gives_the_same(source: Splits) -> None:
    again = digits()
    for name in ("train", "val", "test"):
        first: Split = getattr(source, name)
        second: Split = getattr(again, name)
        assert torch.equal(first.inputs, second.inputs)
        assert torch.equal(first.targets, second.targets)


def test_pooled_back_to_8x8_the_images_are_close_to_the_originals(source: Splits) -> None:
    originals: Tensor = torch.from_numpy(load_digits().images[ORDER])
    pooled = adaptive_avg_pool2d(in_shuffled_order(source).inputs.double(), 8).squeeze(1) * (16 / 255)
    # Enlarging smooths the strokes: 1.30 of 16 and 0.970; a shift by one pixel of the 28 makes it 1.64 and 0.931.
    assert (pooled - originals).abs().mean() < 1.5
    assert torch.corrcoef(torch.stack([pooled.flatten(), originals.flatten()]))[0, 1] > 0.95


def test_it_passes_the_checks_for_data_sources(source: Splits) -> None:
    checked = Splits.of(source)
    assert checked.task.describe(*checked.train) == {"input_shape": (1, 28, 28), "num_classes": 10}
