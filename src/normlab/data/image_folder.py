"""Images of a user's own: decoded once, cached as arrays, and mapped into memory from there."""

import hashlib
import io
import json
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.pool import ThreadPool
from pathlib import Path
from threading import RLock

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from normlab.content import cache_directory, digest_content
from normlab.data.download import DataError
from normlab.data.image_files import SPLITS, Example, find_classes, open_files, split_examples
from normlab.data.limits import require_memory
from normlab.data.splits import Split, Splits
from normlab.processes.memory import return_freed_memory

COLOURS = {"rgb": ("RGB", 3), "grey": ("L", 1)}
"""Mode of Pillow, and number of channels."""

LAYOUT = 1
"""Of the cache; another number lets images be decoded again."""

BLOCK = 32 << 20
"""Bytes of the decoded images that may wait to be written."""


@dataclass(frozen=True)
class Decoder:
    """Decodes images below a folder or inside a zip."""

    root: Path
    read: Callable[[str], bytes]
    """From the name of a file to its content."""
    size: int | None
    colour: str

    def find_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape (C, H, W) that all images have if an image has it."""
        size = self.size
        return self.decode(name).shape if size is None else (COLOURS[self.colour][1], size, size)

    def decode(self, name: str) -> NDArray[np.uint8]:
        """Return the pixels (C, H, W) of an image. Raises DataError if it cannot be decoded."""
        try:
            with Image.open(io.BytesIO(self.read(name))) as image:
                if image.mode[0] in "IF":  # Pillow would cut off what is brighter than 255
                    raise ValueError(f"its pixels, of mode {image.mode}, have more than 8 bits")
                pixels = np.asarray(_resize(image.convert(COLOURS[self.colour][0]), self.size))
        except Exception as error:  # what Pillow raises depends on the format
            reason = f"{type(error).__name__}: {error}"
            if isinstance(error, UnidentifiedImageError):  # whose message is the address of an object
                reason = "Pillow knows no such format"
            raise DataError(
                f"data.root={self.root}: {name} cannot be decoded: replace or remove it ({reason})"
            ) from error
        return np.moveaxis(np.atleast_3d(pixels), -1, 0)


def image_folder(
    root: str,
    size: int | None = None,
    colour: str = "rgb",
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> Splits:
    """Return images of a user's own, from files that Pillow can read.

    They are decoded on all cores once, and kept as raw bytes in the folder `images` of the cache, from which processes
    map them into memory that they share. The name there is a digest of the content of `root` and of the settings.

    Args:
        root: a folder or a zip. It holds `train/CLASS/…` and `test/CLASS/…`, and perhaps `val/CLASS/…`, or
            `CLASS/…` alone. Classes are numbered in alphabetical order.
        size: height and width. The shorter side is resized to it (bilinear, antialiased), and the centre cropped, as by
            torchvision's `Resize` and `CenterCrop`. None: images stay as they are, and all have one size.
        colour: `rgb` or `grey`.
        validation: share of each class of the training images for validation, unless there is `val`.
        test: share of each class for testing, unless there are `train` and `test`.
        seed: of these shares, and of the order of the images.

    Raises:
        DataError: naming the file and the key, if a setting is out of range, the folders are of another layout, an
            image is corrupt or of another size than the others, or the images are larger than the free memory.
    """
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
        raise DataError(f"data.size={size} is no number of pixels: choose at least 1, or null for images of one size")
    if colour not in COLOURS:
        raise DataError(f"data.colour={colour} is none of {', '.join(COLOURS)}")
    if min(validation, test) <= 0 or validation + test >= 1:
        raise DataError(f"data.validation={validation} and data.test={test} must be positive shares of less than 1")
    place = Path(root).expanduser()
    return _open_or_decode(place, digest_content(place), size, colour, validation, test, seed)


@lru_cache(maxsize=1)  # a worker trains many runs
def _open_or_decode(
    root: Path, digest: str | None, size: int | None, colour: str, validation: float, test: float, seed: int
) -> Splits:
    settings = json.dumps([LAYOUT, digest, size, colour, validation, test, seed])
    directory = cache_directory() / "images" / hashlib.sha256(settings.encode()).hexdigest()[:16]
    try:
        if not directory.is_dir():
            directory.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{directory}.lock"):  # processes that start together decode once
                if not directory.is_dir():
                    files = open_files(root)
                    examples = split_examples(root, find_classes(root, files.names), validation, test, seed)
                    _fill(directory, Decoder(root, files.read, size, colour), examples)
    except OSError as error:
        raise DataError(
            f"cannot keep the decoded images of data.root={root} in {directory}: {error}. The environment variable"
            " NORMLAB_CACHE names another folder for what is derived from data"
        ) from error
    try:
        train, val, test_split = (_map(directory, split) for split in SPLITS)
        return Splits(train, val, test_split)
    except (EOFError, OSError, ValueError) as error:
        raise DataError(f"{directory} is damaged ({error}): remove it, so that images are decoded again") from error


def _map(directory: Path, split: str) -> Split:
    """Return a split whose images are mapped into memory; "c" lets torch see memory that may be written to."""
    images, labels = (np.load(directory / f"{split}_{part}.npy", "c") for part in ("images", "labels"))
    return Split(torch.from_numpy(images), torch.from_numpy(labels))


def _fill(directory: Path, decoder: Decoder, examples: Mapping[str, Sequence[Example]]) -> None:
    """Decode all examples into a directory, which appears under its name when all of them are there."""
    count = sum(map(len, examples.values()))
    first = examples["train"][0].name
    shape = decoder.find_shape(first)
    require_memory(
        count * math.prod(shape),
        f"data.root={decoder.root}: {count:,} images of {'×'.join(map(str, shape))}",
        "choose a smaller data.size, data.colour=grey or fewer images",
    )
    cores = (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()) or 1
    block = max(cores, BLOCK // math.prod(shape))
    part = directory.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    part.mkdir()
    try:
        # Pillow decodes and resizes without Python's lock, so threads suffice and share the memory.
        tqdm.set_lock(RLock())  # its own is a semaphore between processes, which a child process would leave behind
        with ThreadPool(cores) as pool, tqdm(total=count, unit=" images", dynamic_ncols=True, disable=None) as bar:
            for split, them in examples.items():
                np.save(part / f"{split}_labels.npy", np.array([example.label for example in them], np.int64))
                with (part / f"{split}_images.npy").open("wb") as file:
                    header = {"descr": "|u1", "fortran_order": False, "shape": (len(them), *shape)}
                    np.lib.format.write_array_header_1_0(file, header)
                    for start in range(0, len(them), block):
                        names = [example.name for example in them[start : start + block]]
                        for name, pixels in zip(names, pool.imap(decoder.decode, names), strict=True):
                            if pixels.shape != shape:
                                raise DataError(
                                    f"data.root={decoder.root} has images of several sizes, width×height: {first} is"
                                    f" {_format_size(shape)}, {name} is {_format_size(pixels.shape)}: set data.size to"
                                    " resize and crop them"
                                )
                            file.write(pixels.tobytes())
                            bar.update()
        part.rename(directory)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return_freed_memory()  # what decoding took need not stay beside the pixels


def _resize(image: Image.Image, size: int | None) -> Image.Image:
    """Resize the shorter side to `size`, and crop the centre."""
    if size is None or image.size == (size, size):
        return image
    width, height = (int(size * side / min(image.size)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def _format_size(shape: Sequence[int]) -> str:
    return f"{shape[2]}×{shape[1]}"
