"""CIFAR from archives of the published layout: read, split, and refused with a reason."""

import hashlib
import io
import re
import tarfile
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from normlab.data import DataError, Splits, cifar10, cifar100

MODULE = import_module("normlab.data.cifar")
CLOSED = "http://127.0.0.1:1/"
TRAINING, VALIDATION, TESTING = 20, 5_000, 7

Load = Callable[..., Splits]


def records(count: int, label_bytes: int, seed: int) -> NDArray[np.uint8]:
    """Return labels and pixels of images, of which a part differs from image to image."""
    random = np.random.default_rng(seed)
    found = np.zeros((count, label_bytes + 3072), np.uint8)
    found[:, : label_bytes + 5] = random.integers(0, 10, (count, label_bytes + 5))
    found[:, -3:] = random.integers(0, 256, (count, 3))
    return found


def write(root: Path, name: str, members: dict[str, NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Write an archive of a data set, and let its digest be the published one."""
    published = getattr(MODULE, name.upper())
    file: Path = root / name / published.file
    file.parent.mkdir(parents=True)
    with tarfile.open(file, "w:gz", compresslevel=1) as tar:
        for member, content in {"readme.html": np.zeros(9, np.uint8), **members}.items():
            info = tarfile.TarInfo(member)
            info.size = content.size
            tar.addfile(info, io.BytesIO(content.tobytes()))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setattr(MODULE, name.upper(), replace(published, digest=digest, mirrors=(CLOSED,)))


@pytest.fixture
def ten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """CIFAR-10 in small, in an archive whose members are in another order than their numbers."""
    train, test = records(TRAINING + VALIDATION, 1, seed=0), records(TESTING, 1, seed=1)
    batches = [f"cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6)]
    members = dict(zip(batches, np.array_split(train, 5), strict=True))
    members["cifar-10-batches-bin/test_batch.bin"] = test
    write(tmp_path, "cifar10", dict(reversed(members.items())), monkeypatch)
    return train, test


def assert_equal(splits: Splits, train: NDArray[np.uint8], test: NDArray[np.uint8], label_bytes: int, at: int) -> None:
    parts = {"train": train[VALIDATION:], "val": train[:VALIDATION], "test": test}
    for name, expected in parts.items():
        split = getattr(splits, name)
        pixels = expected[:, label_bytes:].reshape(-1, 3, 32, 32)
        assert torch.equal(split.inputs, torch.from_numpy(pixels))
        assert torch.equal(split.targets, torch.from_numpy(expected[:, at].astype(np.int64)))


def test_the_first_training_images_validate_whatever_the_order_in_the_archive(
    tmp_path: Path, ten: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> None:
    splits = Splits.of(cifar10(tmp_path))
    assert_equal(splits, *ten, label_bytes=1, at=0)
    assert cifar10(tmp_path) is cifar10(str(tmp_path))


@pytest.mark.parametrize(("labels", "at"), [("coarse", 0), ("fine", 1)])
def test_labels_of_a_hundred_classes_are_fine_or_coarse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: str, at: int
) -> None:
    train, test = records(TRAINING + VALIDATION, 2, seed=2), records(TESTING, 2, seed=3)
    write(tmp_path, "cifar100", {"cifar-100-binary/train.bin": train, "cifar-100-binary/test.bin": test}, monkeypatch)
    assert_equal(cifar100(tmp_path, labels), train, test, label_bytes=2, at=at)


def test_labels_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.labels=all is neither fine nor coarse"):
        cifar100(tmp_path, "all")


@pytest.mark.parametrize(
    ("load", "digest"),
    [
        (cifar10, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
        (cifar100, "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"),
    ],
)
def test_another_file_in_place_of_the_archive_is_refused_with_both_digests(
    tmp_path: Path, load: Load, digest: str
) -> None:
    file = tmp_path / load.__name__ / getattr(MODULE, load.__name__.upper()).file
    file.parent.mkdir()
    file.write_bytes(b"another file")
    with pytest.raises(DataError) as raised:
        load(tmp_path)
    assert str(file) in str(raised.value)
    assert digest in str(raised.value)
    assert hashlib.sha256(b"another file").hexdigest() in str(raised.value)


@pytest.mark.parametrize("load", [cifar10, cifar100])
def test_a_missing_archive_without_a_network_ends_in_instructions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: Load
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    published = getattr(MODULE, load.__name__.upper())
    monkeypatch.setattr(MODULE, load.__name__.upper(), replace(published, mirrors=(CLOSED, CLOSED)))
    with pytest.raises(DataError) as raised:
        load(tmp_path)
    message, file = str(raised.value), tmp_path / load.__name__ / published.file
    assert f"{load.__name__} could not be downloaded.\nLooked for {file}, then tried\n" in message
    assert message.count(f"{CLOSED}{file.name}\n    ConnectionError: ") == 2
    assert re.search(r"data\.root=DIR .* NORMLAB_DATA", message)
