"""MNIST and Fashion-MNIST: found on disk or downloaded, and checked by SHA-256 before use."""

import contextlib
import gzip
import hashlib
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pooch
import torch

from normlab.data.idx import parse_idx
from normlab.data.splits import Split, Splits

VALIDATION_IMAGES = 5_000
"""Of the 60,000 training images the first 5,000 validate, as in TensorFlow's tutorial reader."""

DOWNLOAD_TIMEOUT_SECONDS = 20


class DataError(Exception):
    """Data that are not there, or not what they should be; the message says where and what to do."""


@dataclass(frozen=True)
class PublishedFile:
    """A file of a data set, with its SHA-256 as published, gzipped, and that of its content."""

    name: str
    gzip_sha256: str
    content_sha256: str


@dataclass(frozen=True)
class PublishedDataset:
    """Where a data set in four IDX files can be had, and how to tell that it is the right one."""

    name: str
    mirrors: tuple[str, str]
    train_images: PublishedFile
    train_labels: PublishedFile
    test_images: PublishedFile
    test_labels: PublishedFile


MNIST = PublishedDataset(
    name="mnist",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    train_images=PublishedFile(
        "train-images-idx3-ubyte",
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    train_labels=PublishedFile(
        "train-labels-idx1-ubyte",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    test_images=PublishedFile(
        "t10k-images-idx3-ubyte",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    test_labels=PublishedFile(
        "t10k-labels-idx1-ubyte",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)

FASHION_MNIST = PublishedDataset(
    name="fashion_mnist",
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    train_images=PublishedFile(
        "train-images-idx3-ubyte",
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    train_labels=PublishedFile(
        "train-labels-idx1-ubyte",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    test_images=PublishedFile(
        "t10k-images-idx3-ubyte",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    test_labels=PublishedFile(
        "t10k-labels-idx1-ubyte",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)


def mnist(root: str | Path) -> Splits:
    """Return MNIST (LeCun et al., 1998): 55,000 training, 5,000 validation and 10,000 test images of 28×28.

    The four original files are looked for in `<root>/mnist/`, gzipped or not, and downloaded there where missing.
    Raises DataError where they can be neither found nor had, or differ from what was published.
    """
    return _kept(MNIST, Path(root).expanduser() / MNIST.name)


def fashion_mnist(root: str | Path) -> Splits:
    """Return Fashion-MNIST (Xiao et al., 2017, arXiv:1708.07747), in the sizes and under the rules of `mnist`."""
    return _kept(FASHION_MNIST, Path(root).expanduser() / FASHION_MNIST.name)


def _kept(dataset: PublishedDataset, directory: Path) -> Splits:
    """Load a data set, or take the one loaded last where its files are the same: a worker makes run after run."""
    names = (
        file.name for file in (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels)
    )
    found = (path.stat() for name in names for path in sorted(directory.glob(f"{name}*")))
    return _load_once(dataset, directory, tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in found))


@lru_cache(maxsize=1)
def _load_once(dataset: PublishedDataset, directory: Path, files: tuple[tuple[int, int, int], ...]) -> Splits:
    return load(dataset, directory)


def load(dataset: PublishedDataset, directory: Path) -> Splits:
    """Read the four files of `dataset` in `directory`, downloading what is missing, and split them."""
    train_images, train_labels, test_images, test_labels = (
        torch.from_numpy(parse_idx(_content(dataset, file, directory)).copy())
        for file in (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels)
    )
    train_images, test_images = train_images.unsqueeze(1), test_images.unsqueeze(1)
    return Splits(
        train=Split(train_images[VALIDATION_IMAGES:], train_labels[VALIDATION_IMAGES:].long()),
        val=Split(train_images[:VALIDATION_IMAGES], train_labels[:VALIDATION_IMAGES].long()),
        test=Split(test_images, test_labels.long()),
    )


def _content(dataset: PublishedDataset, file: PublishedFile, directory: Path) -> bytes:
    """Return the checked, unpacked content of one file."""
    plain, gzipped = directory / file.name, directory / f"{file.name}.gz"
    if plain.is_file():
        return _checked(plain, file.content_sha256)
    if not gzipped.is_file():
        _download(dataset, file, directory)
    content = _checked(gzipped, file.gzip_sha256)
    return gzip.decompress(content)


def _checked(path: Path, expected_sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != expected_sha256:
        raise DataError(
            f"{path} ({len(content)} bytes) is truncated, corrupt or another file:\n"
            f"  SHA-256 found    {found}\n"
            f"  SHA-256 expected {expected_sha256}\n"
            "Nothing was changed. Move the file away to have it downloaded anew, or put the right one in its place."
        )
    return content


def _download(dataset: PublishedDataset, file: PublishedFile, directory: Path) -> None:
    """Download one file from the first mirror that has it; pooch checks it and moves it into place in one step."""
    pooch.get_logger().setLevel("WARNING")  # the error below names what was tried
    failures = []
    for mirror in dataset.mirrors:
        url = f"{mirror}{file.name}.gz"
        downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=DOWNLOAD_TIMEOUT_SECONDS)
        try:
            pooch.retrieve(
                url, f"sha256:{file.gzip_sha256}", fname=f"{file.name}.gz", path=directory, downloader=downloader
            )
            return
        except Exception as error:  # whatever ends one mirror (DNS, TLS, HTTP, checksum, disk), the next may do
            failures.append(f"  {url}\n    {type(error).__name__}: {_one_line(error)}")
    with contextlib.suppress(OSError):
        directory.rmdir()  # pooch made it; where anything lies in it, it stays
    raise DataError(
        f"{dataset.name} is not in {directory} and could not be downloaded.\n"
        f"Looked for {directory / file.name} and {file.name}.gz beside it, then tried\n"
        + "\n".join(failures)
        + f"\nPlace the four files (gzipped or not) in {directory}, or name the folder above it with"
        " data.root=DIR or the environment variable NORMLAB_DATA. data=digits needs no download."
    )


def _one_line(error: Exception, limit: int = 300) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
