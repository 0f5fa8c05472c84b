"""Images and texts of a user's own from the command line: trained, told apart, and refused without a trace."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import Command, record_of

SHORT = ("steps=3", "batch_size=8", "evaluate.one_by_one=2")


def make_photos(root: Path, size: tuple[int, int] = (12, 9)) -> None:
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        for number in range(12):
            file = root / split / ("cat" if number % 2 else "dog") / f"{number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)).save(file)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NORMLAB_CACHE", str(tmp_path / "cache"))


def test_a_folder_of_photographs_trains_a_network_and_is_told_apart_from_others(
    normlab: Command, tmp_path: Path, runs: Callable[[str], list[Path]]
) -> None:
    make_photos(tmp_path / "photos")
    command = ("data=image_folder", "data.root=photos", "data.size=8", "model=resnet", "model.depth=8", *SHORT)
    for expected in (1, 1, 2):
        if expected == 2:
            Image.new("RGB", (9, 12)).save(tmp_path / "photos" / "test" / "cat" / "1.jpg")
        finished = normlab(*command)
        assert finished.returncode == 0, finished.stderr
        assert len(runs("single")) == expected


@pytest.mark.long
def test_seeds_of_a_model_of_text_train_together_and_are_scored_in_bits(
    normlab: Command, tmp_path: Path, runs: Callable[[str], list[Path]]
) -> None:
    (tmp_path / "text.txt").write_text("to be, or not to be, that is the question\n" * 100)
    small = ("model.dim=8", "model.depth=1", "model.heads=2", "data.context=16", "hydra/launcher=population")
    finished = normlab("-m", "data=text", "data.root=text.txt", "model=language_model", *small, "seed=0,1", *SHORT)
    assert finished.returncode == 0, finished.stderr
    records = [record_of(run) for run in runs("single")]
    assert [record["environment"].get("trained_together") for record in records] == [2, 2]
    for record in records:
        for split in ("train", "val", "test"):
            loss, bits = (record["metrics"][f"{split}/{name}"] for name in ("loss", "bits_per_character"))
            assert bits == pytest.approx(loss / np.log(2), rel=1e-5)
        assert record["metrics_info"]["val/bits_per_character"]["better"] == "lower"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data=image_folder"], "data.root has no value: set data.root=VALUE"),
        (["data=image_folder", "data.root=nowhere"], "data.root=nowhere does not exist"),
        (["data=image_folder", "data.root=photos", "data.size=100000"], "choose a smaller data.size, data.colour=grey"),
        (["data=arrays", "data.root=short.txt"], "data.root=short.txt is no .npz file that can be read"),
        (["data=text", "data.root=short.txt"], "data.root=short.txt has 20 characters, of which 1 validate"),
        (["data=text", "data.root=nowhere.txt"], "data.root=nowhere.txt does not exist or is no file"),
        (["data=cifar100", "data.labels=all"], "data.labels=all is neither fine nor coarse"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_data_that_cannot_be_used_end_in_one_message(
    normlab: Command, tmp_path: Path, arguments: list[str], message: str
) -> None:
    make_photos(tmp_path / "photos")
    (tmp_path / "short.txt").write_text("no text but 20 chars")
    finished = normlab(*arguments)
    assert finished.returncode == 1
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (tmp_path / "outputs").exists()
