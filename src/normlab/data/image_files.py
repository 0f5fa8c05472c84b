"""Images of a user's own as files in folders of their classes, on disk or inside a zip."""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

from normlab.data.download import DataError
from normlab.randomness import generator

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
SPLITS = ("train", "val", "test")

Classes = dict[str, list[str]]
"""Class → names of its files, both in alphabetical order."""

Item = TypeVar("Item")


class Files(NamedTuple):
    """Files below a folder or inside a zip."""

    names: Sequence[str]
    """Relative paths, of folders with a slash at the end."""
    read: Callable[[str], bytes]
    """From a name to the content; several threads may call it at once."""


class Example(NamedTuple):
    name: str
    label: int


def open_files(root: Path) -> Files:
    """Return the files of a folder or a zip. Raises DataError if `root` is neither."""
    if root.is_dir():
        names = [path.relative_to(root).as_posix() + "/" * path.is_dir() for path in root.rglob("*")]
        return Files(names, lambda name: (root / name).read_bytes())
    try:
        archive = zipfile.ZipFile(root)
    except FileNotFoundError:
        raise DataError(f"data.root={root} does not exist: name a folder of images, or a zip of one") from None
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"data.root={root} is no folder, and no zip that can be read: {error}") from error
    return Files(archive.namelist(), archive.read)


def find_classes(root: Path, names: Sequence[str]) -> dict[str, Classes]:
    """Return the classes of each split by its folder, `train`, `test` and perhaps `val`, or those of all images by "".

    A folder or zip may hold one folder around all. Files that are no images by their ending are ignored, and so is all
    whose name starts with a dot, or that macOS adds to a zip.

    Raises:
        DataError: an image lies in no folder of a class, a class is empty, there is only one, or the splits differ in
            their classes.
    """
    names = sorted(name for name in names if not any(map(_is_hidden, name.split("/"))))
    images = [name for name in names if name.lower().endswith(ENDINGS)]
    folders = [name for name in names if name.endswith("/")]
    if not images:
        raise DataError(f"data.root={root} holds no images, files that end in {', '.join(ENDINGS)}")
    top, _, _ = images[0].partition("/")
    is_around_all = top not in SPLITS and all(name.startswith(f"{top}/") and name.count("/") > 1 for name in images)
    prefix = f"{top}/" if is_around_all else ""
    tops = {name[len(prefix) :].partition("/")[0] for name in images}
    if tops.isdisjoint({"train", "test"}):
        return {"": _group(root, prefix, images, folders)}
    if not {"train", "test"} <= tops <= {*SPLITS}:
        raise DataError(
            f"data.root={root} has images in {', '.join(sorted(tops))}: it needs train/ and test/, and perhaps val/,"
            " with a folder for each class, or folders of classes alone, which are split"
        )
    found = {split: _group(root, f"{prefix}{split}/", images, folders) for split in SPLITS if split in tops}
    for split, classes in found.items():
        if different := sorted(classes.keys() ^ found["train"].keys()):
            raise DataError(
                f"data.root={root}: train/ and {split}/ differ in their classes: only one of them has"
                f" {', '.join(different)}"
            )
    return found


def split_examples(
    root: Path, found: Mapping[str, Classes], validation: float, test: float, seed: int
) -> dict[str, list[Example]]:
    """Return the examples of each split in random order, of classes numbered in alphabetical order.

    Args:
        root: for messages.
        found: by `find_classes`.
        validation: share of each class that is for validation, unless there is a folder `val`.
        test: likewise for testing.
        seed: of the shares and the order.

    Raises:
        DataError: a class has too few images.
    """
    shares = {"val": validation} if "" not in found else {"val": validation, "test": test}
    shares = {split: share for split, share in shares.items() if split not in found}
    examples: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for folder, classes in found.items():
        for label, (name, files) in enumerate(classes.items()):
            left = [Example(file, label) for file in files]
            if folder in ("", "train"):
                left = _shuffle(left, seed, name)
                for split, share in shares.items():
                    count = max(1, round(share * len(files)))
                    examples[split] += left[:count]
                    left = left[count:]
            if not left:
                raise DataError(
                    f"data.root={root}: the class {name} has too few images ({len(files)}) to split them into train and"
                    f" {' and '.join(shares)}"
                )
            examples[folder or "train"] += left
    return {split: _shuffle(them, seed, f"split {split}") for split, them in examples.items()}


def _group(root: Path, prefix: str, images: Sequence[str], folders: Sequence[str]) -> Classes:
    """Return the images below a prefix by their class, the first folder there."""
    classes: Classes = {name[len(prefix) :].partition("/")[0]: [] for name in folders if name.startswith(prefix)}
    classes.pop("", None)  # the folder of the prefix itself
    for image in images:
        if image.startswith(prefix):
            name, slash, _ = image[len(prefix) :].partition("/")
            if not slash:
                raise DataError(f"data.root={root}: {image} lies in no folder of a class")
            classes.setdefault(name, []).append(image)
    for name, files in classes.items():
        if not files:
            raise DataError(f"data.root={root}: the class {prefix}{name} has no images: add some, or remove its folder")
    if len(classes) == 1:
        where = f" of {prefix}" if prefix else ""
        raise DataError(
            f"data.root={root}: all images{where} are in one class, {', '.join(classes)}: name the folder that holds a"
            " folder for each class"
        )
    return dict(sorted(classes.items()))


def _is_hidden(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"


def _shuffle(items: Sequence[Item], seed: int, name: str) -> list[Item]:
    return [items[place] for place in torch.randperm(len(items), generator=generator(seed, f"image_folder/{name}"))]
