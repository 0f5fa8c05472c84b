"""MNIST from disk and from the network: found, checked, downloaded, and refused with a reason."""

import gzip
import hashlib
import re
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from normlab.data import DataError, Split, Splits, fashion_mnist, mnist
from normlab.data.mnist import Dataset, load

MODULE = import_module("normlab.data.mnist")  # whose name in the package is that of the function
# Nothing listens on port 1, so a connection is refused at once and without a name server.
CLOSED = "http://127.0.0.1:1/"
TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
NAMES = [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS]
TRAINING, VALIDATION, TESTING = 7, 5_000, 3


def idx(values: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tiny_arrays() -> dict[str, NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    train, test = TRAINING + VALIDATION, TESTING
    return {
        TRAIN_IMAGES: random.integers(0, 256, (train, 2, 2), np.uint8),
        TRAIN_LABELS: random.integers(0, 10, train, np.uint8),
        TEST_IMAGES: random.integers(0, 256, (test, 2, 2), np.uint8),
        TEST_LABELS: random.integers(0, 10, test, np.uint8),
    }


ARRAYS = tiny_arrays()
PLAIN = {name: idx(values) for name, values in ARRAYS.items()}
GZIPPED = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in PLAIN.items()}


def tiny_dataset(*mirrors: str) -> Dataset:
    digests = {name: sha256(content) for name, content in (GZIPPED | PLAIN).items()}
    return Dataset("tiny", mirrors or (CLOSED, CLOSED), digests)


def place(directory: Path, files: dict[str, bytes]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("*")}


def assert_tiny(splits: Splits) -> None:
    images, labels = torch.from_numpy(ARRAYS[TRAIN_IMAGES]).unsqueeze(1), torch.from_numpy(ARRAYS[TRAIN_LABELS]).long()
    assert torch.equal(splits.val.inputs, images[:VALIDATION])
    assert torch.equal(splits.val.targets, labels[:VALIDATION])
    assert torch.equal(splits.train.inputs, images[VALIDATION:])
    assert torch.equal(splits.train.targets, labels[VALIDATION:])
    assert torch.equal(splits.test.inputs, torch.from_numpy(ARRAYS[TEST_IMAGES]).unsqueeze(1))
    assert torch.equal(splits.test.targets, torch.from_numpy(ARRAYS[TEST_LABELS]).long())


@dataclass
class Server:
    """What a web server on this machine serves, and what it was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    cut_short: bool = False
    halfway: Callable[[], None] = lambda: None

    def mirror(self, name: str, files: dict[str, bytes]) -> str:
        self.files |= {f"/{name}/{file}": content for file, content in files.items()}
        return f"{self.url}/{name}/"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            if self.path not in served.files:
                self.send_error(404)
                return
            content = served.files[self.path]
            half = len(content) // 2
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:half])
            self.wfile.flush()
            served.halfway()
            if not served.cut_short:
                self.wfile.write(content[half:])

        def log_message(self, *_: object) -> None:
            pass

    # A proxy named in the environment could not reach this machine's own address.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        served.url = f"http://127.0.0.1:{httpd.server_port}"
        thread = Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        httpd.shutdown()
        thread.join()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("MNIST", "FASHION_MNIST"):
        published: Dataset = getattr(MODULE, name)
        monkeypatch.setattr(MODULE, name, replace(published, mirrors=(CLOSED, CLOSED)))


@pytest.fixture(scope="module")
def real(mnist_root: Path) -> Splits:
    return mnist(mnist_root)


@pytest.mark.parametrize(
    ("name", "size", "pixel_sum"),
    [("train", 55_000, 1_437_128_264), ("val", 5_000, 130_170_281), ("test", 10_000, 264_923_200)],
)
def test_real_mnist_has_its_sizes_types_and_pixels(real: Splits, name: str, size: int, pixel_sum: int) -> None:
    split: Split = getattr(real, name)
    assert split.inputs.shape == (size, 1, 28, 28)
    assert split.inputs.dtype == torch.uint8
    assert split.targets.shape == (size,)
    assert split.targets.dtype == torch.int64
    assert int(split.inputs.sum(dtype=torch.int64)) == pixel_sum


def test_the_first_images_of_the_real_training_file_validate(real: Splits) -> None:
    assert real.val.targets[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert real.train.targets[:10].tolist() == [7, 3, 4, 6, 1, 8, 1, 0, 9, 8]
    assert real.test.targets[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_real_mnist_passes_the_checks_for_data_sources(real: Splits) -> None:
    checked = Splits.of(real)
    assert checked.task.describe(*checked.train) == {"input_shape": (1, 28, 28), "num_classes": 10}


def test_real_mnist_may_lie_unpacked(real: Splits, mnist_root: Path, tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    for name in NAMES:
        packed, unpacked = mnist_root / "mnist" / f"{name}.gz", tmp_path / "mnist" / name
        if packed.is_file():
            with gzip.open(packed) as source, unpacked.open("wb") as target:
                shutil.copyfileobj(source, target)
        else:
            shutil.copyfile(packed.with_suffix(""), unpacked)
    splits = mnist(str(tmp_path))
    for part in ("train", "val", "test"):
        expected: Split = getattr(real, part)
        found: Split = getattr(splits, part)
        assert torch.equal(found.inputs, expected.inputs)
        assert torch.equal(found.targets, expected.targets)


@pytest.mark.parametrize(
    "files",
    [
        GZIPPED,
        PLAIN,
        {**GZIPPED, **PLAIN},
        {name: (GZIPPED | PLAIN)[name] for name in (*NAMES[:2], *list(GZIPPED)[2:])},
    ],
    ids=["gzipped", "unpacked", "both", "mixed"],
)
def test_files_on_disk_are_read_gzipped_or_not(tmp_path: Path, files: dict[str, bytes]) -> None:
    place(tmp_path, files)
    assert_tiny(load(tiny_dataset(), tmp_path))
    assert contents(tmp_path) == files


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda _: b"",
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: content + b"\n",
        lambda _: b"<html>not found</html>",
    ],
    ids=["truncated", "empty", "one bit flipped", "too long", "another file"],
)
@pytest.mark.parametrize("packed", [True, False], ids=["gzipped", "unpacked"])
@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_file_is_named_with_both_digests_and_left_as_it_was(
    server: Server, tmp_path: Path, name: str, packed: bool, damage: Callable[[bytes], bytes]
) -> None:
    good, file = (GZIPPED, f"{name}.gz") if packed else (PLAIN, name)
    wrong = good | {file: damage(good[file])}
    place(tmp_path, wrong)
    mirror = server.mirror("good", GZIPPED)
    with pytest.raises(DataError) as raised:
        load(tiny_dataset(mirror, mirror), tmp_path)
    message = str(raised.value)
    assert f"{tmp_path / file} ({len(wrong[file])} bytes) is truncated, corrupt or another file" in message
    assert re.search(f"found +{sha256(wrong[file])}", message)
    assert re.search(f"expected +{sha256(good[file])}", message)
    assert "Nothing was changed. Move the file away" in message
    assert contents(tmp_path) == wrong
    assert server.asked == []


@pytest.mark.parametrize(
    ("source", "digest"),
    [
        (mnist, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        (fashion_mnist, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    ],
)
def test_a_wrong_file_in_place_of_a_published_one_is_refused(
    tmp_path: Path, source: Callable[[Path], Splits], digest: str
) -> None:
    directory = tmp_path / source.__name__
    files = {f"{TRAIN_IMAGES}.gz": GZIPPED[f"{TRAIN_IMAGES}.gz"]}
    place(directory, files)
    with pytest.raises(DataError, match=digest):
        source(tmp_path)
    assert contents(directory) == files


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("source", [mnist, fashion_mnist])
def test_missing_files_without_a_network_end_in_instructions(tmp_path: Path, source: Callable[[Path], Splits]) -> None:
    with pytest.raises(DataError) as raised:
        source(tmp_path)
    message, directory = str(raised.value), tmp_path / source.__name__
    assert f"{source.__name__} is not in {directory} and could not be downloaded" in message
    assert f"Looked for {directory / TRAIN_IMAGES} and {TRAIN_IMAGES}.gz beside it" in message
    assert message.count(f"{CLOSED}{TRAIN_IMAGES}.gz\n    ConnectionError: ") == 2
    assert f"Place the four files (gzipped or not) in {directory}" in message
    assert "data.root=DIR" in message
    assert "NORMLAB_DATA" in message
    assert "data=digits needs no download" in message
    assert not directory.exists() or contents(directory) == {}


@pytest.mark.usefixtures("offline")
def test_one_missing_file_is_the_one_named(tmp_path: Path) -> None:
    files = {name: content for name, content in GZIPPED.items() if name != f"{TEST_LABELS}.gz"}
    place(tmp_path, files)
    with pytest.raises(DataError, match=re.escape(f"Looked for {tmp_path / TEST_LABELS} and")):
        load(tiny_dataset(), tmp_path)
    assert contents(tmp_path) == files


@pytest.mark.usefixtures("offline")
def test_a_tilde_stands_for_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with pytest.raises(DataError, match=re.escape(f"mnist is not in {tmp_path / 'below' / 'mnist'}")):
        mnist("~/below")


def test_missing_files_are_downloaded_once(server: Server, tmp_path: Path) -> None:
    dataset = tiny_dataset(server.mirror("first", GZIPPED), server.mirror("second", GZIPPED))
    directory = tmp_path / "not" / "yet" / "there"
    assert_tiny(load(dataset, directory))
    assert server.asked == [f"/first/{name}.gz" for name in NAMES]
    assert contents(directory) == GZIPPED
    assert_tiny(load(dataset, directory))
    assert len(server.asked) == len(NAMES)


def test_only_what_is_missing_is_downloaded(server: Server, tmp_path: Path) -> None:
    placed = {TRAIN_IMAGES: PLAIN[TRAIN_IMAGES], f"{TEST_IMAGES}.gz": GZIPPED[f"{TEST_IMAGES}.gz"]}
    place(tmp_path, placed)
    mirror = server.mirror("first", GZIPPED)
    assert_tiny(load(tiny_dataset(mirror, CLOSED), tmp_path))
    assert server.asked == [f"/first/{TRAIN_LABELS}.gz", f"/first/{TEST_LABELS}.gz"]


@pytest.mark.parametrize(
    "first",
    [{}, {f"{name}.gz": b"another file" for name in NAMES}, {name: content[:-1] for name, content in GZIPPED.items()}],
    ids=["404", "wrong checksum", "truncated"],
)
def test_the_second_mirror_is_used_where_the_first_fails(
    server: Server, tmp_path: Path, first: dict[str, bytes]
) -> None:
    dataset = tiny_dataset(server.mirror("first", first), server.mirror("second", GZIPPED))
    assert_tiny(load(dataset, tmp_path))
    assert server.asked == [f"/{mirror}/{name}.gz" for name in NAMES for mirror in ("first", "second")]
    assert contents(tmp_path) == GZIPPED


@pytest.mark.usefixtures("offline")
def test_the_second_mirror_is_used_where_the_first_cannot_be_reached(server: Server, tmp_path: Path) -> None:
    assert_tiny(load(tiny_dataset(CLOSED, server.mirror("second", GZIPPED)), tmp_path))
    assert contents(tmp_path) == GZIPPED


def test_where_both_mirrors_fail_both_reasons_are_given_and_nothing_is_kept(server: Server, tmp_path: Path) -> None:
    wrong = {f"{name}.gz": b"another file" for name in NAMES}
    dataset = tiny_dataset(server.mirror("first", {}), server.mirror("second", wrong))
    with pytest.raises(DataError) as raised:
        load(dataset, tmp_path)
    message = str(raised.value)
    assert re.search(rf"{server.url}/first/{TRAIN_IMAGES}\.gz\n    HTTPError: 404", message)
    assert re.search(rf"{server.url}/second/{TRAIN_IMAGES}\.gz\n    ValueError: .*hash", message)
    assert contents(tmp_path) == {}


def test_a_download_that_breaks_off_leaves_nothing_behind(server: Server, tmp_path: Path) -> None:
    server.cut_short = True
    mirror = server.mirror("first", GZIPPED)
    with pytest.raises(DataError, match="could not be downloaded"):
        load(tiny_dataset(mirror, mirror), tmp_path)
    assert contents(tmp_path) == {}


def test_a_file_appears_under_its_name_only_when_it_is_whole(server: Server, tmp_path: Path) -> None:
    finished: list[set[str]] = []
    server.halfway = lambda: finished.append({path.name for path in tmp_path.iterdir()} & set(GZIPPED))
    mirror = server.mirror("first", GZIPPED)
    load(tiny_dataset(mirror, mirror), tmp_path)
    assert finished == [set(list(GZIPPED)[:count]) for count in range(len(NAMES))]
    assert contents(tmp_path) == GZIPPED


@pytest.mark.parametrize("below", ["tiny", "deep/tiny", ""])
def test_a_folder_that_cannot_be_made_is_named(server: Server, tmp_path: Path, below: str) -> None:
    regular = tmp_path / "regular"
    regular.write_bytes(b"a regular file")
    mirror = server.mirror("first", GZIPPED)
    with pytest.raises(DataError) as raised:
        load(tiny_dataset(mirror, mirror), regular / below)
    message = str(raised.value)
    assert f"tiny is not in {regular / below} and could not be downloaded" in message
    assert "NotADirectoryError: " in message
    assert "Not a directory" in message
    assert regular.read_bytes() == b"a regular file"
