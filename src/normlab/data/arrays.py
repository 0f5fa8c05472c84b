"""Images of a user's own as arrays in an .npz file, whose Python objects are never unpickled."""

from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from normlab.data.download import DataError, stamp
from normlab.data.limits import require_memory
from normlab.data.splits import Split, Splits
from normlab.randomness import generator

AXES = {"first": "(N, C, H, W)", "last": "(N, H, W, C)"}


def arrays(root: str, channels: str = "last", validation: float = 0.1, seed: int = 0) -> Splits:
    """Return the images of an .npz file, as NumPy's `savez` writes it, and their classes.

    Args:
        root: the file. It holds `train_images`, `train_labels`, `test_images`, `test_labels`, and perhaps `val_images`
            and `val_labels`. Images are uint8 of shape (N, H, W) or as `channels` says; labels are integers from 0 of
            shape (N,) or (N, 1).
        channels: `last`, (N, H, W, C), or `first`, (N, C, H, W).
        validation: share of the training images, chosen at random, for validation, unless there is `val_images`.
        seed: of that share.

    Raises:
        DataError: naming the file and the array or key, if a setting is out of range, the file is missing or corrupt,
            an array is missing or does not fit, or they are larger than the free memory.
    """
    if channels not in AXES:
        raise DataError(f"data.channels={channels} is none of {', '.join(AXES)}")
    if not 0 < validation < 1:
        raise DataError(f"data.validation={validation} is no share between 0 and 1")
    file = Path(root).expanduser()
    if not file.is_file():
        raise DataError(f"data.root={file} does not exist or is no file: name an .npz file")
    return _load(file, channels, validation, seed, stamp([file]))


@lru_cache(maxsize=1)  # a worker trains many runs
def _load(file: Path, channels: str, validation: float, seed: int, stamps: object) -> Splits:
    try:
        with np.load(file, allow_pickle=False) as archive:
            size = sum(member.file_size for member in archive.zip.infolist())
            require_memory(2 * size, f"the arrays of data.root={file}, and a copy,", "store fewer or smaller images")
            train, test = (_read_split(archive, file, name, channels) for name in ("train", "test"))
            own = _read_split(archive, file, "val", channels) if "val_images" in archive else None
    except (AttributeError, EOFError, OSError, TypeError, ValueError, BadZipFile) as error:
        # A single array has no attribute `zip`, and an empty file raises EOFError.
        raise DataError(f"data.root={file} is no .npz file that can be read: {error}") from error
    if own is None:
        order = torch.randperm(len(train.targets), generator=generator(seed, "arrays"))
        count = max(1, round(validation * len(order)))
        own, train = (Split(*(part[chosen] for part in train)) for chosen in (order[:count], order[count:]))
        if taken := _list_unknown(own, train):
            raise DataError(
                f"data.root={file}: data.validation={validation} takes all training images of the classes {taken}:"
                " choose another data.seed, or store val_images and val_labels"
            )
    for name, split in (("val", own), ("test", test)):
        if unknown := _list_unknown(split, train):
            raise DataError(f"data.root={file}: {name}_labels has classes that train_labels has not: {unknown}")
    return Splits(train, own, test)


def _list_unknown(split: Split, train: Split) -> list[int]:
    """Return the classes of a split that the training split lacks."""
    return sorted({*split.targets.tolist()} - {*train.targets.tolist()})


def _read_split(archive: Any, file: Path, name: str, channels: str) -> Split:
    """Return the images (N, C, H, W) and labels (N,) of a split. Raises DataError."""
    images, labels = (_read(archive, file, f"{name}_{part}") for part in ("images", "labels"))
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise DataError(
            f"data.root={file}: {name}_images must be uint8 of shape (N, H, W) or {AXES[channels]}, but is"
            f" {images.dtype} of shape {images.shape}"
        )
    if labels.shape not in ((len(images),), (len(images), 1)) or labels.dtype.kind not in "iu":
        raise DataError(
            f"data.root={file}: {name}_labels must be integers of shape ({len(images)},) like {name}_images, but is"
            f" {labels.dtype} of shape {labels.shape}"
        )
    if images.ndim == 3:
        images = images[:, None]
    elif channels == "last":
        images = np.moveaxis(images, -1, 1)
    return Split(torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(labels.reshape(-1).astype(np.int64)))


def _read(archive: Any, file: Path, name: str) -> NDArray[Any]:
    if name not in archive:
        raise DataError(f"data.root={file} has no array {name}, but {', '.join(sorted(archive)) or 'none'}")
    try:
        array: NDArray[Any] = archive[name]
    except Exception as error:  # of zip, zlib or NumPy
        raise DataError(f"data.root={file}: {name} cannot be read: {error}") from error
    return array
