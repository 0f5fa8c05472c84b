"""Images of a user's own in an .npz: read, split, and refused by the name of the array."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from normlab.data import DataError, Split, Splits, arrays

Arrays = dict[str, NDArray[Any]]


def make(count: int = 20, shape: tuple[int, ...] = (4, 5), seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, *shape), np.uint8), np.arange(count) % 3


def both(**changes: NDArray[Any]) -> Arrays:
    """Return arrays for training and testing, in part others."""
    (train_images, train_labels), (test_images, test_labels) = make(), make(6, seed=1)
    named = {"train_images": train_images, "train_labels": train_labels}
    return {**named, "test_images": test_images, "test_labels": test_labels, **changes}


def save(folder: Path, content: Arrays, packed: bool = False) -> str:
    file = folder / "own.npz"
    (np.savez_compressed if packed else np.savez)(file, allow_pickle=True, **content)
    return str(file)


def pairs(split: Split) -> set[tuple[bytes, int]]:
    images = (image.numpy().tobytes() for image in split.inputs)
    return set(zip(images, split.targets.tolist(), strict=True))


@pytest.mark.parametrize("packed", [False, True])
def test_a_share_of_the_training_images_validates_and_no_image_is_lost(tmp_path: Path, packed: bool) -> None:
    content = both()
    splits = Splits.of(arrays(save(tmp_path, content, packed), validation=0.2))
    assert [len(split.targets) for split in (splits.train, splits.val, splits.test)] == [16, 4, 6]
    assert splits.train.inputs.shape == (16, 1, 4, 5)
    for name, split in (("train", pairs(splits.train) | pairs(splits.val)), ("test", pairs(splits.test))):
        images, labels = content[f"{name}_images"], content[f"{name}_labels"].tolist()
        assert split == set(zip((image.tobytes() for image in images), labels, strict=True))


def test_the_share_depends_on_the_seed_of_the_data_alone(tmp_path: Path) -> None:
    file = save(tmp_path, both())
    first, again, other = (pairs(arrays(file, seed=seed).val) for seed in (0, 0, 1))
    assert first == again != other


def test_images_for_validation_are_taken_as_they_are(tmp_path: Path) -> None:
    images, labels = make(5, seed=2)
    splits = arrays(save(tmp_path, both(val_images=images, val_labels=labels)))
    assert torch.equal(splits.val.inputs[:, 0], torch.from_numpy(images))
    assert torch.equal(splits.train.inputs[:, 0], torch.from_numpy(both()["train_images"]))
    assert torch.equal(splits.train.targets, torch.from_numpy(both()["train_labels"]))


@pytest.mark.parametrize("channels", ["first", "last"])
def test_channels_come_first_or_last(tmp_path: Path, channels: str) -> None:
    content = both()
    colour = {f"{name}_images": make(len(content[f"{name}_labels"]), (3, 4, 5))[0] for name in ("train", "test")}
    stored = colour if channels == "first" else {name: np.moveaxis(them, 1, -1) for name, them in colour.items()}
    splits = arrays(save(tmp_path, {**content, **stored}), channels=channels)
    assert torch.equal(splits.test.inputs, torch.from_numpy(colour["test_images"]))


def test_labels_may_be_a_column_of_any_integers(tmp_path: Path) -> None:
    splits = arrays(save(tmp_path, both(test_labels=np.arange(6, dtype=np.uint8)[:, None] % 3)))
    assert splits.test.targets.tolist() == [0, 1, 2, 0, 1, 2]


def test_one_object_serves_all_runs_of_a_process_until_the_file_changes(tmp_path: Path) -> None:
    file = save(tmp_path, both())
    first = arrays(file)
    assert arrays(file) is first
    save(tmp_path, both(test_labels=np.zeros(6, int)))
    assert arrays(file).test.targets.tolist() == [0] * 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_labels": np.zeros(19, int)}, "train_labels must be integers of shape (20,) like train_images, but"),
        ({"test_labels": np.zeros((6, 3), int)}, "test_labels must be integers of shape (6,) like test_images, but"),
        ({"test_labels": np.zeros(6)}, "float64 of shape (6,)"),
        ({"test_labels": np.full(6, 3)}, "test_labels has classes that train_labels has not: [3]"),
        ({"train_images": np.zeros((20, 4, 5))}, "train_images must be uint8 of shape (N, H, W) or (N, H, W, C), but"),
        ({"train_images": np.zeros((20, 4), np.uint8)}, "is uint8 of shape (20, 4)"),
        ({"val_images": np.zeros((2, 4, 5), np.uint8)}, "has no array val_labels, but test_images"),
        ({"train_images": np.array([None] * 20)}, "train_images cannot be read: Object arrays cannot be loaded"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_array_that_does_not_fit_is_named_with_its_file(tmp_path: Path, changes: Arrays, message: str) -> None:
    file = save(tmp_path, both(**changes))
    with pytest.raises(DataError, match=re.escape(message)) as raised:
        arrays(file)
    assert f"data.root={file}" in str(raised.value)


@pytest.mark.parametrize("count", [1, 20])
def test_a_share_for_validation_that_leaves_none_of_a_class_to_train_is_refused(tmp_path: Path, count: int) -> None:
    images, _ = make(count)
    file = save(tmp_path, both(train_images=images, train_labels=np.arange(count), test_labels=np.zeros(6, int)))
    message = rf"{re.escape(file)}: data\.validation=0\.1 takes all training images of the classes \[.*: choose another"
    with pytest.raises(DataError, match=message):
        arrays(file)


@pytest.mark.parametrize("name", ["train_images", "train_labels", "test_images", "test_labels"])
def test_a_missing_array_is_named(tmp_path: Path, name: str) -> None:
    content = both()
    del content[name]
    with pytest.raises(DataError, match=f"has no array {name}, but"):
        arrays(save(tmp_path, content))


@pytest.mark.parametrize("kind", ["cut short", "text", "empty", "a single array", "pickled"])
def test_a_file_that_is_no_npz_is_named(tmp_path: Path, kind: str) -> None:
    file = Path(save(tmp_path, both()))
    if kind == "cut short":
        file.write_bytes(file.read_bytes()[:-50])
    elif kind == "text":
        file.write_text("no arrays")
    elif kind == "empty":
        file.write_bytes(b"")
    else:
        with file.open("wb") as stream:
            np.save(stream, np.array([None] if kind == "pickled" else [1]), allow_pickle=True)
    with pytest.raises(DataError, match=re.escape(f"data.root={file} is no .npz file that can be read")):
        arrays(str(file))


def test_a_damaged_array_is_named(tmp_path: Path) -> None:
    file = Path(save(tmp_path, both(), packed=False))
    content = bytearray(file.read_bytes())
    at = content.index(both()["test_images"].tobytes())
    content[at] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"test_images cannot be read: .*CRC"):
        arrays(str(file))


def test_a_missing_file_a_folder_and_settings_out_of_range_are_named(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere.npz"):
        with pytest.raises(DataError, match=re.escape(f"data.root={place} does not exist or is no file")):
            arrays(str(place))
    with pytest.raises(DataError, match=r"data\.channels=middle is none of first, last"):
        arrays(save(tmp_path, both()), channels="middle")
    with pytest.raises(DataError, match=r"data\.validation=1\.0 is no share between 0 and 1"):
        arrays(save(tmp_path, both()), validation=1.0)


def test_arrays_larger_than_the_free_memory_are_refused_with_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("normlab.data.limits.find_free_memory", lambda: 1_000)
    message = r"the arrays of data\.root=.*, and a copy, take .* MB of memory, of which 0\.0 MB are free: store fewer"
    with pytest.raises(DataError, match=message):
        arrays(save(tmp_path, both()))
