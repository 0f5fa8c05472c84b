"""Records: written in one step or not at all, and read back as they were."""

import subprocess
import sys
from pathlib import Path

import pytest

from normlab.files import write_atomically
from normlab.runs.directory import RunDirectory
from normlab.runs.record import Record


def record(**changes: object) -> Record:
    return Record(run_id="a", experiment="single", seed=0, choices={"model": "mlp"}, steps=1, **changes)  # type: ignore[arg-type]


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "a")
    directory.path.mkdir()
    written = record(metrics={"test/accuracy": 0.1 + 0.2}, status="finished", error="naïve ✓")
    directory.write(written)
    assert directory.read() == written
    assert [path.name for path in directory.path.iterdir()] == ["run.json"]


def test_where_there_is_no_record_none_is_read(tmp_path: Path) -> None:
    assert RunDirectory(tmp_path / "nowhere").read() is None


@pytest.mark.parametrize("content", ["{", "[]", "{}", '"text"', '{"run_id": "a"}'])
def test_what_is_no_record_is_refused_with_its_path(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=r"run\.json"):
        RunDirectory(tmp_path).read()


def test_a_full_disk_leaves_the_old_record_intact_and_nothing_beside_it(tmp_path: Path) -> None:
    write_atomically(tmp_path / "run.json", "old")
    # In a process of its own, because the limit on file size, which stands in for the disk's, cannot be raised again.
    program = """
import resource, signal, sys
from pathlib import Path
from normlab.files import write_atomically
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_atomically(Path(sys.argv[1]), "new" * 10_000)
except OSError as error:
    print(type(error).__name__)
"""
    finished = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "run.json")], capture_output=True, text=True, check=True
    )
    assert finished.stdout == "OSError\n"
    assert (tmp_path / "run.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_directory_is_moved_aside_to_a_name_that_is_free(tmp_path: Path) -> None:
    for content in ("first", "second"):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "notes").write_text(content)
        RunDirectory(tmp_path / "run").move_aside()
    assert (tmp_path / "run.old1" / "notes").read_text() == "first"
    assert (tmp_path / "run.old2" / "notes").read_text() == "second"
