"""Checking what a data source returns."""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from normlab.data import DataError, Split, Splits

NAMES = ["train", "val", "test"]


@dataclass(frozen=True)
class Source:
    """A data source of someone's own: any object with three pairs."""

    train: Any
    val: Any
    test: Any


def arrays(size: int = 4, shape: tuple[int, ...] = (1, 3, 2)) -> tuple[Any, Any]:
    images = np.arange(size * int(np.prod(shape)), dtype=np.uint8).reshape(size, *shape)
    return images, np.arange(size, dtype=np.int64) % 3


def describe(source: Any) -> dict[str, Any]:
    splits = Splits.of(source)
    return splits.task.describe(*splits.train)


def tensors(size: int = 4, shape: tuple[int, ...] = (1, 3, 2)) -> tuple[Any, Any]:
    images, labels = arrays(size, shape)
    return torch.from_numpy(images), torch.from_numpy(labels)


@pytest.mark.parametrize("pair", [arrays, tensors])
def test_pairs_of_arrays_and_of_tensors_are_taken(pair: Any) -> None:
    splits = Splits.of(Source(pair(4), pair(3), pair(5)))
    for name, size in zip(NAMES, (4, 3, 5), strict=True):
        split: Split = getattr(splits, name)
        images, labels = tensors(size)
        assert isinstance(split, Split)
        assert torch.equal(split.inputs, images)
        assert torch.equal(split.targets, labels)


def test_arrays_and_tensors_may_be_mixed() -> None:
    splits = Splits.of(Source(arrays(), tensors(), (arrays()[0], tensors()[1])))
    assert torch.equal(splits.train.inputs, splits.test.inputs)


def test_splits_pass_their_own_checks() -> None:
    splits = Splits(Split(*tensors()), Split(*tensors()), Split(*tensors()))
    assert torch.equal(Splits.of(splits).val.inputs, splits.val.inputs)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.int64])
def test_labels_of_any_integer_type_become_int64(kind: type[np.integer[Any]]) -> None:
    images, labels = arrays()
    pair = (images, labels.astype(kind))
    assert Splits.of(Source(pair, pair, pair)).train.targets.dtype == torch.int64


def test_labels_may_be_a_plain_list() -> None:
    pair = (arrays()[0], [0, 1, 2, 1])
    assert Splits.of(Source(pair, pair, pair)).test.targets.tolist() == [0, 1, 2, 1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (
            (np.zeros((4, 1, 3, 2), np.float32), np.zeros(4, np.int64)),
            "{name} images must be uint8 of shape (N, C, H, W), got torch.float32 of shape (4, 1, 3, 2)",
        ),
        (
            (torch.zeros(4, 1, 3, 2, dtype=torch.int64), torch.zeros(4)),
            "{name} images must be uint8 of shape (N, C, H, W), got torch.int64 of shape (4, 1, 3, 2)",
        ),
        (
            (np.zeros((4, 3, 2), np.uint8), np.zeros(4, np.int64)),
            "{name} images must be uint8 of shape (N, C, H, W), got torch.uint8 of shape (4, 3, 2)",
        ),
        (
            (np.zeros((4, 1, 1, 3, 2), np.uint8), np.zeros(4, np.int64)),
            "{name} images must be uint8 of shape (N, C, H, W), got torch.uint8 of shape (4, 1, 1, 3, 2)",
        ),
        (
            (np.zeros((4, 1, 3, 2), np.uint8), np.zeros(3, np.int64)),
            "{name} labels must have shape (4,) like their images, got (3,)",
        ),
        (
            (np.zeros((4, 1, 3, 2), np.uint8), np.zeros((4, 10), np.int64)),
            "{name} labels must have shape (4,) like their images, got (4, 10)",
        ),
        (
            (np.zeros((0, 1, 3, 2), np.uint8), np.zeros(0, np.int64)),
            "the {name} split is empty",
        ),
    ],
    ids=["float images", "int64 images", "rank 3", "rank 5", "too few labels", "one-hot labels", "empty"],
)
def test_a_bad_split_is_refused_by_name(name: str, pair: tuple[Any, Any], message: str) -> None:
    source = replace(Source(arrays(), arrays(), arrays()), **{name: pair})
    with pytest.raises(ValueError, match=f"^{re.escape(message.format(name=name))}$"):
        Splits.of(source)


@pytest.mark.parametrize("name", NAMES)
def test_splits_of_different_image_shapes_are_refused(name: str) -> None:
    source = replace(Source(arrays(), arrays(), arrays()), **{name: arrays(shape=(1, 2, 3))})
    with pytest.raises(ValueError, match=re.escape("different shapes: [(1, 2, 3), (1, 3, 2)]")):
        Splits.of(source)


@pytest.mark.parametrize("source", [(arrays(), arrays(), arrays()), None])
def test_a_source_without_named_splits_is_refused(source: Any) -> None:
    with pytest.raises(ValueError, match=r"^the train split is no pair .* object has no attribute 'train'$"):
        Splits.of(source)


def test_inputs_without_examples_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^the test split is no pair of inputs and targets: len\(\) of"):
        Splits.of(Source(arrays(), arrays(), (np.uint8(3), np.arange(4))))


@pytest.mark.parametrize("name", ["val", "test"])
def test_classes_beyond_those_of_the_training_split_are_refused(name: str) -> None:
    source = replace(Source(arrays(), arrays(), arrays()), **{name: (arrays()[0], [0, 5, 2, 1])})
    with pytest.raises(ValueError, match=f"^{name} targets have the class 5, but the training split has 0 to 2 alone"):
        Splits.of(source)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 5, 7)])
def test_the_input_shape_is_that_of_one_image(shape: tuple[int, int, int]) -> None:
    pair = tensors(shape=shape)
    assert describe(Source(pair, pair, pair))["input_shape"] == shape


def test_the_number_of_classes_follows_from_the_largest_training_label() -> None:
    images = tensors()[0]
    source = Source((images, [0, 6, 2, 2]), (images, [0, 0, 0, 0]), (images, [1, 1, 1, 1]))
    assert describe(source)["num_classes"] == 7


def test_moving_to_a_device_keeps_every_value() -> None:
    splits = Splits.of(Source(arrays(4), arrays(3), arrays(5)))
    moved = splits.to(torch.device("cpu"))
    for name in NAMES:
        before: Split = getattr(splits, name)
        after: Split = getattr(moved, name)
        assert torch.equal(before.inputs, after.inputs)
        assert torch.equal(before.targets, after.targets)


def test_data_larger_than_the_free_memory_of_a_gpu_are_refused_with_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1_000, 2_000))
    pair = tensors(400)
    splits = Splits(Split(*pair), Split(*pair), Split(*pair))
    message = "the data take 0.0 MB of the memory of cuda, of which 0.0 MB are free: use accelerator=cpu, or fewer"
    with pytest.raises(DataError, match=re.escape(message)):
        splits.to(torch.device("cuda"))


def test_of_training_examples_that_overlap_every_so_many_are_scored() -> None:
    pair = tensors(7)
    splits = Splits(Split(*pair), Split(*pair), Split(*pair), score_every=3)
    assert torch.equal(splits.select_scored("train").inputs, pair[0][[0, 3, 6]])
    assert torch.equal(splits.to(torch.device("cpu")).select_scored("train").targets, pair[1][[0, 3, 6]])
    assert splits.select_scored("val") is splits.val
