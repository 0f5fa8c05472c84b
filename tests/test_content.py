"""Digests of a user's data."""

import json
import os
from pathlib import Path

import pytest

import normlab
from normlab.content import digest_content


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
    assert normlab.compose("data=mnist").settings["data_digest"] is None


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_images(tmp_path / "images")
    expected = digest(root)
    (tmp_path / "file").touch()
    monkeypatch.setenv("NORMLAB_CACHE", str(tmp_path / "file" / "cache"))
    assert digest(root) == expected
    monkeypatch.delenv("NORMLAB_CACHE")
    monkeypatch.setenv("HOME", "/proc/nowhere")
    assert digest(root) == expected
