"""Characters of a text: windows as views, their vocabulary, bits per character, and what is refused."""

import math
import re
from importlib import import_module
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from normlab.data import DataError, Split, Splits, text
from normlab.data.batches import BatchStream
from normlab.data.text import Characters

MODULE = import_module("normlab.data.text")  # whose name in the package is that of the function
WORDS = "The quick brown fox jumps over the lazy dog – naïve, 漢字 \r\n😀\t"


def write(folder: Path, content: str) -> str:
    file = folder / "text.txt"
    file.write_bytes(content.encode())
    return str(file)


def vocabulary_of(splits: Splits) -> str:
    assert isinstance(splits.task, Characters)
    return splits.task.vocabulary


def decode(splits: Splits, split: Split) -> list[tuple[str, str]]:
    """Return each window and its next characters."""
    vocabulary = vocabulary_of(splits)
    return [
        tuple("".join(vocabulary[token] for token in row) for row in pair)  # type: ignore[misc]
        for pair in zip(split.inputs.tolist(), split.targets.tolist(), strict=True)
    ]


@settings(deadline=None)
@given(content=st.text(st.characters(codec="utf-8"), min_size=200, max_size=500), context=st.integers(1, 9))
def test_windows_spell_the_three_parts_of_any_text(
    tmp_path_factory: pytest.TempPathFactory, content: str, context: int
) -> None:
    splits = Splits.of(text(write(tmp_path_factory.mktemp("text"), content), context))
    held_out = len(content) // 20
    parts = content[: -2 * held_out], content[-2 * held_out : -held_out], content[-held_out:]
    assert vocabulary_of(splits) == "".join(sorted(set(content)))
    for part, split, every in zip(parts, (splits.train, splits.val, splits.test), (1, context, context), strict=True):
        starts = range(0, len(part) - context, every)
        expected = [(part[at : at + context], part[at + 1 : at + context + 1]) for at in starts]
        assert decode(splits, split) == expected


def test_a_model_gets_the_characters_of_the_whole_text_and_the_context(tmp_path: Path) -> None:
    splits = Splits.of(text(write(tmp_path, "ab" * 1_000 + "z"), context=8))
    assert splits.task.describe(*splits.train) == {"vocabulary_size": 3, "context": 8}
    assert "z" not in decode(splits, splits.train)[0][0]


def test_windows_share_the_memory_of_the_tokens_also_on_another_device(tmp_path: Path) -> None:
    splits = Splits.of(text(write(tmp_path, WORDS * 100), context=32))
    size = 8 * len(WORDS) * 100
    for part in (*splits.train, *splits.val, *splits.test):
        assert part.untyped_storage().nbytes() == size
    for part, moved in zip(splits.train, splits.to(torch.device("meta")).train, strict=True):
        assert moved.is_meta
        assert moved.untyped_storage().nbytes() == size
        assert (moved.shape, moved.stride(), moved.storage_offset()) == (part.shape, (1, 1), part.storage_offset())


def test_batches_are_windows_at_random_places(tmp_path: Path) -> None:
    splits = text(write(tmp_path, WORDS * 100), context=16)
    inputs, targets = BatchStream(splits.train, splits.task.prepare, 32, 10, seed=0).batch(3)
    assert torch.equal(inputs[:, 1:], targets[:, :-1])
    starts = BatchStream(splits.train, splits.task.prepare, 32, 10, seed=0).indices(3)
    assert len({*starts.tolist()}) == 32
    assert torch.equal(inputs, torch.stack([splits.train.inputs[start] for start in starts]))


def test_as_many_training_windows_are_scored_as_validate_spread_over_the_text(tmp_path: Path) -> None:
    splits = text(write(tmp_path, WORDS * 200), context=16)
    scored = splits.select_scored("train")
    assert len(splits.val.targets) <= len(scored.targets) <= len(splits.val.targets) + 2
    assert torch.equal(scored.inputs[3], splits.train.inputs[3 * splits.score_every])
    assert len(scored.targets) * splits.score_every >= len(splits.train.targets)
    assert splits.select_scored("test") is splits.test


def test_bits_per_character_are_the_cross_entropy_to_base_two_beside_the_accuracy(tmp_path: Path) -> None:
    splits = text(write(tmp_path, WORDS * 100), context=16)
    targets = splits.val.targets
    classes = splits.task.count_classes(*splits.train)
    logits = torch.randn(*targets.shape, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    measured = splits.task.measure(logits, targets)
    expected = cross_entropy(logits.flatten(end_dim=1), targets.flatten()) / math.log(2)
    assert measured["bits_per_character"].shape == measured["accuracy"].shape == targets.shape
    assert torch.allclose(measured["bits_per_character"].mean(), expected, rtol=1e-12)
    metric = splits.task.describe_metrics(*splits.train)["bits_per_character"]
    assert (metric.better, metric.low) == ("lower", 0.0)
    guessing = splits.task.measure(torch.zeros_like(logits), targets)["bits_per_character"]
    assert guessing.mean().item() == pytest.approx(metric.guess)


def test_one_object_serves_all_runs_of_a_process(tmp_path: Path) -> None:
    file = write(tmp_path, WORDS * 100)
    assert text(file, 16) is text(file, 16)
    assert text(file, 16) is not text(file, 8)


@pytest.mark.parametrize(
    ("content", "context", "message"),
    [
        (b"abc" * 400, 64, "1,200 characters, of which 60 validate and 60 test, but data.context=64 and a next"),
        (b"", 64, "has 0 characters"),
        (b"\xff" * 5_000, 64, "is no text in UTF-8 that can be read: 'utf-8' codec"),
        (b"abc" * 400, 0, "data.context=0 is out of range: choose at least 1"),
    ],
    ids=["too short", "empty", "binary", "context"],
)
def test_what_is_wrong_is_named_by_file_and_key(tmp_path: Path, content: bytes, context: int, message: str) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(message)) as raised:
        text(str(file), context)
    assert f"data.root={file}" in str(raised.value) or "data.context" in str(raised.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere.txt"):
        with pytest.raises(DataError, match=re.escape(f"data.root={place} does not exist or is no file")):
            text(str(place))


def test_a_text_larger_than_the_free_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("normlab.data.limits.find_free_memory", lambda: 1_000)
    with pytest.raises(DataError, match=r"the characters of data\.root=.* take .* of memory, of which .* are free"):
        text(write(tmp_path, WORDS * 100))


def test_without_a_file_tiny_shakespeare_is_looked_for_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NORMLAB_DATA", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(MODULE, "MIRRORS", ("http://127.0.0.1:1/",))
    file = tmp_path / "tinyshakespeare" / "input.txt"
    with pytest.raises(DataError, match=re.escape(f"Looked for {file}, then tried\n  http://127.0.0.1:1/input.txt")):
        text()
    file.parent.mkdir(exist_ok=True)
    file.write_text(WORDS * 100)
    with pytest.raises(DataError, match="expected 86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"):
        text()
