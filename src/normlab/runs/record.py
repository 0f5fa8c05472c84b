"""What a run directory holds, and reading and writing its record so that nobody ever sees half of one."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

RECORD_VERSION = 1

Status = Literal["running", "finished", "failed", "diverged", "interrupted"]


@dataclass
class Record:
    """The content of `run.json`."""

    run_id: str
    experiment: str
    seed: int
    choices: dict[str, str]
    """Config group → choice."""
    steps: int
    """Updates asked for."""
    status: Status = "running"
    metrics: dict[str, float] = field(default_factory=dict)
    """Final metrics by name, such as `test/accuracy`."""
    seconds: float | None = None
    """Wall-clock time of training with its observations, without start-up and final evaluation."""
    steps_per_second: float | None = None
    statistics_batch: dict[str, int] = field(default_factory=dict)
    """Block → from how many examples its normalizer takes its statistics in training, where it keeps averages of them:
    the whole batch, or the part of it that one of several processes has."""
    environment: dict[str, Any] = field(default_factory=dict)
    published: dict[str, Any] = field(default_factory=dict)
    """The experiment's published figures, by normalizer."""
    diverged_at: int | None = None
    """The update whose loss was not finite, where the run diverged."""
    error: str | None = None
    """Type, message and traceback where the run failed."""
    version: int = RECORD_VERSION
    """Of the layout of this record and its directory."""

    @property
    def is_result(self) -> bool:
        """Whether there is nothing left to do: the run finished, or diverged, which is a result too."""
        return self.status in ("finished", "diverged")

    @property
    def reason(self) -> str:
        """The last line of the error, which names its type and message; empty where there is none."""
        return (self.error or "").strip().rpartition("\n")[2]


@dataclass(frozen=True)
class RunDirectory:
    """The files of one run."""

    path: Path

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

    @property
    def digests(self) -> Path:
        """SHA-256 of the checkpoints, newest first."""
        return self.path / "checkpoints" / "digests.json"

    def write(self, record: Record) -> None:
        """Replace the record in one step; where that fails, the old one is intact. Raises OSError."""
        write_atomically(self.record, json.dumps(asdict(record), indent=2, ensure_ascii=False) + "\n")

    def read(self) -> Record | None:
        """Return the record, or None where there is none. Raises ValueError, naming the file, where it is not one."""
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

    def move_aside(self) -> Path:
        """Rename the whole directory to a free name beside it, so that nothing in it is lost; return that name."""
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.old{number}")).exists():
            number += 1
        return self.path.rename(aside)


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that readers see the old content or the new, and a crash leaves one of the two.

    Raises OSError where it cannot be written (a full disk, say); the old file is then untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
