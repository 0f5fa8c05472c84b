"""The directory of a run: its files, its record, and the state of the run that they show."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from normlab.files import write_atomically
from normlab.runs.ownership import find_owner
from normlab.runs.record import RECORD_VERSION, Record


@dataclass(frozen=True)
class State:
    """The progress of a run. Only here is the record compared with who owns the directory."""

    status: Literal["missing", "running", "died", "interrupted", "failed", "diverged", "finished", "unreadable"]
    """`running` if a living process owns the directory, `died` if the record alone says so."""
    reason: str = ""
    """The process that trains it, or the reason why it did not finish."""
    record: Record | None = None

    @property
    def is_result(self) -> bool:
        """Whether nothing is left to do (see `Record.is_result`)."""
        return self.status in ("finished", "diverged")


@dataclass(frozen=True)
class RunDirectory:
    """The files of one run."""

    path: Path

    @property
    def experiment(self) -> Path:
        """Directory of the experiment."""
        return self.path.parent.parent

    @property
    def record(self) -> Path:
        return self.path / "run.json"

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def inputs(self) -> Path:
        """Samples of the inputs before and after preprocessing."""
        return self.path / "inputs.npz"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def log(self) -> Path:
        return self.path / "run.log"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def previous_checkpoint(self) -> Path:
        return self.path / "checkpoints" / "previous.ckpt"

    def state(self) -> State:
        """Return how far the run is, from its record and its owner."""
        try:
            record = self.read()
        except ValueError as error:
            return State("unreadable", str(error))
        if record is not None and record.is_result:
            return State(record.status, record.reason, record)
        owner = find_owner(self.path)
        if owner is not None:
            return State("running", owner, record)
        if record is None:
            return State("missing", "never started")
        if record.status == "running":
            return State("died", "its process died", record)
        return State(record.status, record.reason, record)

    def write(self, record: Record) -> None:
        """Replace the record in one step; if that fails, the old one is intact. Raises OSError."""
        # JSON has no NaN and no infinity: both become null.
        content = json.loads(json.dumps(asdict(record)), parse_constant=lambda name: None)
        write_atomically(self.record, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def read(self) -> Record | None:
        """Return the record, or None if there is none. Raises ValueError, naming the file, if it is not one."""
        try:
            content = json.loads(self.record.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.record} cannot be read as a record: {error}") from error
        if isinstance(content, dict) and content.get("version", RECORD_VERSION) != RECORD_VERSION:
            raise ValueError(
                f"{self.record} was written by an incompatible version of normlab: its layout is"
                f" {content['version']}, this one reads {RECORD_VERSION}"
            )
        try:
            record = Record(**{key: content[key] for key in content if key in Record.__dataclass_fields__})
        except (AttributeError, TypeError) as error:
            raise ValueError(f"{self.record} is not a record: {error}") from error
        if record.run_id != self.path.name:
            raise ValueError(f"{self.record} is the record of another run, {record.run_id}")
        return record

    @property
    def is_aside(self) -> bool:
        """Whether a repeated run has moved it aside."""
        return re.fullmatch(r"\.old\d+", self.path.suffix) is not None

    def move_aside(self) -> Path:
        """Rename the whole directory to a free name beside it, so that nothing in it is lost; return that name."""
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.old{number}")).exists():
            number += 1
        return self.path.rename(aside)


def find_runs(place: Path) -> Iterator[RunDirectory]:
    """Yield the run directories below a directory in the order of their paths, each once.

    Links are followed, as TensorBoard does.
    """
    seen: set[Path] = set()
    for path, folders, files in os.walk(place, followlinks=True):
        folders[:] = sorted(name for name in folders if (Path(path) / name).resolve() not in seen)
        seen |= {(Path(path) / name).resolve() for name in folders}
        if "run.json" in files:  # a link may have another name than the run
            yield RunDirectory(Path(path).resolve() if Path(path).is_symlink() else Path(path))


def measure_size(path: Path) -> int:
    """Return the bytes of a file, or of all files below a directory."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
