"""Digests of a user's data."""

import json
import os
from pathlib import Path

import pytest

import normlab
from normlab.content import digest_content
from normlab.errors import ConfigurationError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NORMLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "digests.json"


def digest(root: Path) -> str | None:
    digest_content.cache_clear()
    return digest_content(root)


def make_images(root: Path, content: bytes = b"x") -> Path:
    (root / "cat").mkdir(parents=True)
    (root / "cat" / "1.png").write_bytes(content)
    return root


def test_equal_files_have_equal_digests_wherever_they_lie(tmp_path: Path) -> None:
    first = digest(make_images(tmp_path / "a"))
    assert first == digest(make_images(tmp_path / "b"))
    assert first != digest(make_images(tmp_path / "c", b"y"))
    (tmp_path / "b" / "cat").rename(tmp_path / "b" / "dog")
    assert first != digest(tmp_path / "b")
    assert digest(tmp_path / "nowhere") is None


def test_a_file_is_read_again_only_if_its_size_or_time_changed(tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("one")
    first = digest(file)
    stored = json.loads(cache.read_text())
    stored[str(file)]["digest"] = "from the cache"
    cache.write_text(json.dumps(stored))
    assert digest(file) == "from the cache"
    file.write_text("two")
    os.utime(file, ns=(0, 0))
    assert digest(file) not in (first, "from the cache")


def test_runs_on_other_data_under_one_root_are_other_runs_and_data_that_ship_have_no_digest(tmp_path: Path) -> None:
    ids = []
    for content in (b"x", b"y"):
        root = make_images(tmp_path / content.decode(), content)
        digest_content.cache_clear()
        ids.append(normlab.compose("data=digits", "data._target_=mine.Images", f"+data.root={root}").id)
    assert len(set(ids)) == 2
    for name in ("mnist", "fashion_mnist", "cifar10", "cifar100"):
        assert normlab.compose(f"data={name}", f"data.root={root}").settings["data_digest"] is None


@pytest.mark.parametrize("name", ["image_folder", "arrays", "text"])
def test_data_of_a_user_that_a_shipped_source_reads_are_told_apart_by_content(tmp_path: Path, name: str) -> None:
    ids = []
    for folder, content in (("a", b"x"), ("b", b"y"), ("c", b"x")):
        file = make_images(tmp_path / folder, content) / "cat" / "1.png"
        digest_content.cache_clear()
        ids.append(normlab.compose(f"data={name}", f"data.root={file}").id)
    assert ids[0] == ids[2] != ids[1]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: Path) -> str:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr("normlab.content.digest_file", refuse)
    root = make_images(tmp_path / "images")
    with pytest.raises(ConfigurationError, match=f"data.root={root} cannot be read: .*1.png"):
        normlab.compose("data=image_folder", f"data.root={root}")


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_images(tmp_path / "images")
    expected = digest(root)
    (tmp_path / "file").touch()
    monkeypatch.setenv("NORMLAB_CACHE", str(tmp_path / "file" / "cache"))
    assert digest(root) == expected
    monkeypatch.delenv("NORMLAB_CACHE")
    monkeypatch.setenv("HOME", "/proc/nowhere")
    assert digest(root) == expected
