"""CIFAR-10 and CIFAR-100: read from their binary archives on disk or downloaded, and verified by SHA-256."""

import math
import tarfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from normlab.data.download import DataError, download, stamp, verify
from normlab.data.splits import Split, Splits

VALIDATION_IMAGES = 5_000
"""The first 5,000 of the 50,000 training images are for validation, as of MNIST."""

SHAPE = (3, 32, 32)


@dataclass(frozen=True)
class Archive:
    """A data set in a tar file, whose members hold a record per image: its label bytes, then its pixels (3, 32, 32)."""

    name: str
    file: str
    mirrors: tuple[str, ...]
    digest: str
    """SHA-256 of the tar file."""
    train: tuple[str, ...]
    """Members with training images."""
    test: str
    """Member with test images."""
    labels: tuple[str, ...]
    """Meaning of each label byte."""


CIFAR10 = Archive(
    "cifar10",
    "cifar-10-binary.tar.gz",
    (
        "https://www.cs.toronto.edu/~kriz/",
        "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
    ),
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    tuple(f"cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6)),
    "cifar-10-batches-bin/test_batch.bin",
    ("fine",),
)
CIFAR100 = Archive(
    "cifar100",
    "cifar-100-binary.tar.gz",
    ("https://www.cs.toronto.edu/~kriz/",),
    "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    ("cifar-100-binary/train.bin",),
    "cifar-100-binary/test.bin",
    ("coarse", "fine"),
)


def cifar10(root: str | Path) -> Splits:
    """Return CIFAR-10 (Krizhevsky, 2009): 45,000 training, 5,000 validation and 10,000 test images of 3×32×32.

    `<root>/cifar10/cifar-10-binary.tar.gz` is read, and downloaded if missing.

    Raises:
        DataError: the archive is missing and cannot be downloaded, or differs from the original.
    """
    return _load_or_reuse(CIFAR10, root, "fine")


def cifar100(root: str | Path, labels: str = "fine") -> Splits:
    """Return CIFAR-100 from `<root>/cifar100/cifar-100-binary.tar.gz`, with the sizes and errors of `cifar10`.

    Args:
        root: folder above.
        labels: `fine`, 100 classes, or `coarse`, their 20 groups.
    """
    if labels not in CIFAR100.labels:
        raise DataError(f"data.labels={labels} is neither fine nor coarse")
    return _load_or_reuse(CIFAR100, root, labels)


def _load_or_reuse(archive: Archive, root: str | Path, labels: str) -> Splits:
    """Load a data set, or reuse the latest one if its file is unchanged: a worker trains many runs."""
    file = Path(root).expanduser() / archive.name / archive.file
    if not file.is_file():
        download(
            file,
            archive.mirrors,
            archive.digest,
            f"{archive.name} could not be downloaded.\nLooked for {file}",
            f"Place {file.name} in {file.parent}, or name the folder above it with data.root=DIR or the environment"
            " variable NORMLAB_DATA. data=digits needs no download.",
        )
    return _load(archive, file, archive.labels.index(labels), stamp([file]))


@lru_cache(maxsize=1)
def _load(archive: Archive, file: Path, label: int, stamps: tuple[tuple[int, int, int], ...]) -> Splits:
    verify(file, archive.digest)
    parts = {}
    with tarfile.open(file) as tar:
        for member in tar:  # in their order in the file, as going back means to unpack again
            if member.name in (*archive.train, archive.test) and (stream := tar.extractfile(member)) is not None:
                parts[member.name] = _parse(stream.read(), len(archive.labels), label)
    images, targets = (torch.cat(both) for both in zip(*(parts[name] for name in archive.train), strict=True))
    return Splits(
        train=Split(images[VALIDATION_IMAGES:], targets[VALIDATION_IMAGES:]),
        val=Split(images[:VALIDATION_IMAGES], targets[:VALIDATION_IMAGES]),
        test=Split(*parts[archive.test]),
    )


def _parse(content: bytes, label_bytes: int, label: int) -> tuple[Tensor, Tensor]:
    """Return images (N, 3, 32, 32) and labels (N,) of a member."""
    records = np.frombuffer(content, np.uint8).reshape(-1, label_bytes + math.prod(SHAPE))
    images = np.ascontiguousarray(records[:, label_bytes:])
    return torch.from_numpy(images).view(-1, *SHAPE), torch.from_numpy(records[:, label].astype(np.int64))
