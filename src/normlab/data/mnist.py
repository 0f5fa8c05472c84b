"""MNIST and Fashion-MNIST: read from disk or downloaded, and verified by SHA-256."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path

import torch

from normlab.data.download import download, stamp, verify
from normlab.data.idx import parse_idx
from normlab.data.splits import Split, Splits

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

VALIDATION_IMAGES = 5_000
"""The first 5,000 of the 60,000 training images are for validation, as in TensorFlow's tutorial reader."""


@dataclass(frozen=True)
class Dataset:
    """A data set in four IDX files."""

    name: str
    mirrors: tuple[str, ...]
    digests: Mapping[str, str] = field(compare=False)
    """SHA-256 of each gzipped file (`NAME.gz`) and of its content (`NAME`)."""


def _read_digests(dataset: str) -> dict[str, str]:
    """Read the digests of a data set from `sha256sums.txt`, which is in the format of sha256sum(1)."""
    lines = (resources.files("normlab.data") / "sha256sums.txt").read_text().splitlines()
    digests = {path: digest for digest, path in (line.split() for line in lines)}
    return {file.partition("/")[2]: digest for file, digest in digests.items() if file.startswith(f"{dataset}/")}


MNIST = Dataset(
    "mnist",
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    _read_digests("mnist"),
)
FASHION_MNIST = Dataset(
    "fashion_mnist",
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    _read_digests("fashion_mnist"),
)


def mnist(root: str | Path) -> Splits:
    """Return MNIST (LeCun et al., 1998): 55,000 training, 5,000 validation and 10,000 test images of 28×28.

    The four original files are read from `<root>/mnist/`, gzipped or not, and downloaded there if missing.

    Raises:
        DataError: a file is missing and cannot be downloaded, or differs from the original.
    """
    return _load_or_reuse(MNIST, Path(root).expanduser() / MNIST.name)


def fashion_mnist(root: str | Path) -> Splits:
    """Return Fashion-MNIST (Xiao et al., 2017, arXiv:1708.07747), with the sizes, files and errors of `mnist`."""
    return _load_or_reuse(FASHION_MNIST, Path(root).expanduser() / FASHION_MNIST.name)


def _load_or_reuse(dataset: Dataset, directory: Path) -> Splits:
    """Load a data set, or reuse the latest one if its files are unchanged: a worker trains many runs."""
    return _load_once(dataset, directory, stamp(path for name in FILES for path in sorted(directory.glob(f"{name}*"))))


@lru_cache(maxsize=1)
def _load_once(dataset: Dataset, directory: Path, files: tuple[tuple[int, int, int], ...]) -> Splits:
    return load(dataset, directory)


def load(dataset: Dataset, directory: Path) -> Splits:
    """Read the four files of `dataset` in `directory`, download missing ones, and split the images."""
    train_images, train_labels, test_images, test_labels = (
        torch.from_numpy(parse_idx(_read(dataset, name, directory)).copy()) for name in FILES
    )
    train_images, test_images = train_images.unsqueeze(1), test_images.unsqueeze(1)
    return Splits(
        train=Split(train_images[VALIDATION_IMAGES:], train_labels[VALIDATION_IMAGES:].long()),
        val=Split(train_images[:VALIDATION_IMAGES], train_labels[:VALIDATION_IMAGES].long()),
        test=Split(test_images, test_labels.long()),
    )


def _read(dataset: Dataset, name: str, directory: Path) -> bytes:
    """Return the verified and unpacked content of one file."""
    plain, gzipped = directory / name, directory / f"{name}.gz"
    if plain.is_file():
        verify(plain, dataset.digests[plain.name])
        return plain.read_bytes()
    if not gzipped.is_file():
        download(
            gzipped,
            dataset.mirrors,
            dataset.digests[gzipped.name],
            f"{dataset.name} is not in {directory} and could not be downloaded.\n"
            f"Looked for {plain} and {gzipped.name} beside it",
            f"Place the four files (gzipped or not) in {directory}, or name the folder above it with"
            " data.root=DIR or the environment variable NORMLAB_DATA. data=digits needs no download.",
        )
    verify(gzipped, dataset.digests[gzipped.name])
    return gzip.decompress(gzipped.read_bytes())
