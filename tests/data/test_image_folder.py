"""Images of a user's own: folders and zips of classes, decoded once, resized, split, and refused by name."""

import io
import re
import zipfile
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from network_libraries import import_network_library
from numpy.typing import NDArray
from PIL import Image

from normlab.content import digest_content
from normlab.data import DataError, Split, Splits

MODULE = import_module("normlab.data.image_folder")  # whose name in the package is that of the function
SPLITS = ("train", "val", "test")
CLASSES = ("cat", "dog")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NORMLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


def read(root: Path, **settings: Any) -> Splits:
    """Read images as a new process does, which remembers nothing."""
    digest_content.cache_clear()
    MODULE._open_or_decode.cache_clear()
    splits: Splits = MODULE.image_folder(str(root), **settings)
    return Splits.of(splits)


def pixels(number: int, height: int = 4, width: int = 4) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) that no other number has."""
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)


def encode(image: NDArray[Any], kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind)
    return stream.getvalue()


def make_files(*places: str, count: int = 10) -> dict[str, bytes]:
    """Return PNG files of two classes below each place; their labels are the number of the image modulo 2."""
    numbers = iter(range(1_000))
    return {
        f"{place}{CLASSES[number % 2]}/{number}.png": encode(pixels(number))
        for place in places
        for _, number in zip(range(count), numbers, strict=False)
    }


def place(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def pack(file: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file


def numbers_of(split: Split) -> list[int]:
    """Return the numbers of the images of a split, and assert that each has its label."""
    known = {pixels(number).tobytes(): number for number in range(100)}
    numbers = [known[image.permute(1, 2, 0).contiguous().numpy().tobytes()] for image in split.inputs]
    assert [number % 2 for number in numbers] == split.targets.tolist()
    return numbers


def test_folders_for_training_and_testing_are_kept_apart_and_a_share_of_each_class_validates(tmp_path: Path) -> None:
    splits = read(place(tmp_path / "photos", make_files("train/", "test/")), validation=0.2)
    train, val, test = (numbers_of(getattr(splits, name)) for name in SPLITS)
    assert sorted(train + val) == list(range(10))
    assert sorted(test) == list(range(10, 20))
    assert sorted(number % 2 for number in val) == [0, 1]


def test_a_folder_for_validation_is_taken_as_it_is(tmp_path: Path) -> None:
    splits = read(place(tmp_path / "photos", make_files("train/", "val/", "test/")))
    found = [sorted(numbers_of(getattr(splits, name))) for name in SPLITS]
    assert found == [list(range(start, start + 10)) for start in (0, 10, 20)]


def test_folders_of_classes_alone_are_split_by_the_seed_of_the_data(tmp_path: Path) -> None:
    root = place(tmp_path / "photos", make_files("", count=40))
    found: dict[int, list[list[int]]] = {}
    for seed in (0, 0, 1):
        splits = read(root, validation=0.1, test=0.2, seed=seed)
        parts = [numbers_of(getattr(splits, name)) for name in SPLITS]
        assert sorted(chain(*parts)) == list(range(40))
        assert [len(part) for part in parts] == [28, 4, 8]
        assert [sum(number % 2 for number in part) for part in parts] == [14, 2, 4]
        assert found.setdefault(seed, parts) == parts
    assert sorted(found[0][2]) != sorted(found[1][2])


@pytest.mark.parametrize("around", ["", "photos/"])
def test_a_zip_is_read_like_the_folder_in_it(tmp_path: Path, around: str) -> None:
    files = make_files("train/", "test/")
    folder = read(place(tmp_path / "photos", files))
    extra = {f"__MACOSX/{around}train/cat/._0.png": b"", f"{around}train/.DS_Store": b"", f"{around}notes.txt": b""}
    packed = read(pack(tmp_path / "photos.zip", {around + name: file for name, file in files.items()} | extra))
    for name in SPLITS:
        assert torch.equal(getattr(folder, name).inputs, getattr(packed, name).inputs)
        assert torch.equal(getattr(folder, name).targets, getattr(packed, name).targets)


def test_what_was_decoded_once_is_mapped_from_the_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = place(tmp_path / "photos", make_files("train/", "test/"))
    first = read(root)
    monkeypatch.setattr(MODULE.Decoder, "decode", lambda *_: pytest.fail("decoded again"))
    second = read(root)
    assert torch.equal(first.train.inputs, second.train.inputs)
    assert not [path for path in root.rglob("*") if path.suffix == ".npy"]
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1


def test_other_content_and_other_settings_are_decoded_anew(tmp_path: Path) -> None:
    root = place(tmp_path / "photos", make_files("train/", "test/"))
    assert read(root).train.inputs.shape[1:] == (3, 4, 4)
    assert read(root, colour="grey").train.inputs.shape[1:] == (1, 4, 4)
    (root / "test" / "cat" / "10.png").write_bytes(encode(pixels(98)))
    assert 98 in numbers_of(read(root).test)


def test_one_object_serves_all_runs_of_a_process(tmp_path: Path) -> None:
    root = str(place(tmp_path / "photos", make_files("train/", "test/")))
    assert MODULE.image_folder(root) is MODULE.image_folder(root)


def test_decoding_that_was_killed_starts_anew(tmp_path: Path, cache: Path) -> None:
    root = place(tmp_path / "photos", make_files("train/", "test/"))
    read(root)
    (directory,) = (path for path in cache.iterdir() if path.is_dir())
    directory.rename(directory.with_suffix(".part"))
    (directory.with_suffix(".part") / "train_images.npy").write_bytes(b"half")
    assert sorted(numbers_of(read(root).test)) == list(range(10, 20))
    assert not directory.with_suffix(".part").exists()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "PPM", "WEBP", "GIF"])
@pytest.mark.parametrize(("colour", "mode"), [("rgb", "RGB"), ("grey", "L")])
def test_pixels_are_those_of_pillow(tmp_path: Path, kind: str, colour: str, mode: str) -> None:
    file = encode(pixels(0, 8, 6), kind)
    names = [f"{split}/{name}/1.{kind.lower()}" for split in SPLITS for name in CLASSES]
    splits = read(place(tmp_path / "photos", dict.fromkeys(names, file)), colour=colour)
    expected = np.atleast_3d(np.asarray(Image.open(io.BytesIO(file)).convert(mode)))
    assert torch.equal(splits.train.inputs[0].permute(1, 2, 0), torch.from_numpy(expected.copy()))


@pytest.mark.parametrize(("height", "width"), [(9, 9), (17, 9), (9, 23), (5, 31), (4, 3), (40, 41)])
@pytest.mark.parametrize("size", [5, 8])
def test_resizing_and_cropping_are_those_of_torchvision(tmp_path: Path, height: int, width: int, size: int) -> None:
    transforms: Any = import_network_library("torchvision.transforms")
    image = Image.fromarray(pixels(0, height, width))
    expected = transforms.CenterCrop(size)(transforms.Resize(size)(image))
    files = {f"{split}/{name}/1.png": encode(np.asarray(image)) for split in SPLITS for name in CLASSES}
    splits = read(place(tmp_path / "photos", files), size=size)
    assert torch.equal(splits.train.inputs[0].permute(1, 2, 0), torch.from_numpy(np.asarray(expected).copy()))


ALL = make_files("train/", "test/")
NARROW = encode(pixels(0, 4, 3))
DEEP = encode(np.full((4, 4), 1_000, np.uint16))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({**ALL, "train/dog/1.png": ALL["train/dog/1.png"][:50]}, "train/dog/1.png cannot be decoded: replace or"),
        ({**ALL, "train/dog/1.png": b"text"}, "remove it (Pillow knows no such format)"),
        (
            {**ALL, "train/dog/1.png": DEEP},
            "cannot be decoded: replace or remove it (ValueError: its pixels",
        ),
        ({**ALL, "train/cow/": b"", "test/cow/x.png": NARROW}, "the class train/cow has no images"),
        ({**ALL, "test/cow/notes.txt": b"", "test/cow/": b""}, "the class test/cow has no images"),
        ({**ALL, "test/cow/x.png": NARROW}, "train/ and test/ differ in their classes: only one of them has cow"),
        ({**ALL, "train/x.png": NARROW}, "train/x.png lies in no folder of a class"),
        ({**ALL, "test/dog/19.png": NARROW}, "is 4×4, test/dog/19.png is 3×4: set data.size"),
        ({**ALL, "valid/dog/1.png": NARROW}, "has images in test, train, valid: it needs train/ and test/"),
        (make_files("train/"), "has images in train: it needs train/ and test/, and perhaps val/"),
        ({"photos/1.png": NARROW, "photos/2.png": NARROW}, "all images are in one class, photos: name the folder that"),
        ({"train/cat/1.png": NARROW, "test/cat/2.png": NARROW}, "all images of train/ are in one class, cat: name the"),
        ({"train/cat/notes.txt": b""}, "holds no images, files that end in .bmp"),
        (
            {"cat/1.png": NARROW, "dog/1.png": NARROW},
            "the class cat has too few images (1) to split them into",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_what_is_wrong_is_named_and_nothing_is_kept(
    tmp_path: Path, cache: Path, files: dict[str, bytes], message: str, packed: bool
) -> None:
    root = tmp_path / "photos"
    if packed:
        root = pack(tmp_path / "photos.zip", files)
    else:
        place(root, {name: content for name, content in files.items() if not name.endswith("/")})
        for name in (name for name in files if name.endswith("/")):
            (root / name).mkdir(parents=True, exist_ok=True)
    with pytest.raises(DataError, match=re.escape(message)) as raised:
        read(root)
    assert f"data.root={root}" in str(raised.value)
    assert not [path for path in cache.iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 0}, "data.size=0 is no number of pixels"),
        ({"size": "big"}, "data.size=big is no number of pixels"),
        ({"colour": "blue"}, "data.colour=blue is none of rgb, grey"),
        ({"validation": 0.0}, "data.validation=0.0 and data.test=0.1 must be positive shares"),
        ({"validation": 0.5, "test": 0.5}, "data.validation=0.5 and data.test=0.5 must be positive shares"),
    ],
)
def test_settings_out_of_range_are_refused_by_key(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        read(place(tmp_path / "photos", ALL), **settings)


def test_a_missing_place_and_a_file_that_is_no_zip_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.root=.*nowhere does not exist"):
        read(tmp_path / "nowhere")
    (tmp_path / "file.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"data\.root=.*file\.zip is no folder, and no zip"):
        read(tmp_path / "file.zip")


def test_images_larger_than_the_free_memory_are_refused_with_their_size_and_the_way_out(tmp_path: Path) -> None:
    root = place(tmp_path / "photos", ALL)
    message = r"20 images of 3×\d+×\d+ take .* GB of memory, of which .* are free: choose a smaller data.size"
    with pytest.raises(DataError, match=message):
        read(root, size=20_000)


def test_a_cache_that_cannot_be_written_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = place(tmp_path / "photos", ALL)
    (tmp_path / "file").touch()
    monkeypatch.setenv("NORMLAB_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot keep the decoded images .* NORMLAB_CACHE names another folder"):
        read(root)


@pytest.mark.parametrize("kept", [-1, 0])
def test_a_damaged_cache_is_named(tmp_path: Path, cache: Path, kept: int) -> None:
    root = place(tmp_path / "photos", ALL)
    read(root)
    for file in cache.rglob("*_images.npy"):
        file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"is damaged .*: remove it"):
        read(root)
