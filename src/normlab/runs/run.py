"""A run: the one object that is passed around, from planning a sweep to training and to reporting progress."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from normlab.errors import ConfigurationError
from normlab.runs.directory import RunDirectory, State
from normlab.runs.identity import run_id
from normlab.runs.ownership import own
from normlab.runs.record import Record
from normlab.runs.sources import digest_sources, list_changes
from normlab.runs.steps import StepCounter

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A resolved config that passed all checks; what is on disk of it follows from the config alone.

    Args:
        settings: the resolved config, as plain data.
        choices: config group → choice, such as `normalizer` → `tf_nn`.
        overrides: the command line that leads to these settings, as far as it is known.
    """

    settings: Mapping[str, Any]
    choices: Mapping[str, str]
    overrides: Sequence[str] = ()

    @cached_property
    def id(self) -> str:
        """A readable slug and a hash; equal ids mean equal results."""
        return run_id(self.settings, self.choices)

    @property
    def experiment(self) -> str:
        """The experiment's name, or else the `name` in the config; runs without either share "single"."""
        return self.choices.get("experiment") or self.settings["name"] or "single"

    @property
    def experiment_directory(self) -> Path:
        """`<output_root>/<experiment>`."""
        return Path(self.settings["output_root"]).expanduser() / self.experiment

    @cached_property
    def directory(self) -> RunDirectory:
        """`<output_root>/<experiment>/runs/<id>`."""
        return RunDirectory(self.experiment_directory / "runs" / self.id)

    @property
    def is_missing(self) -> bool:
        """Whether anything is left to do: there is no result yet, or it is to be replaced (`force`).

        Raises ConfigurationError if the code has changed since the run was trained.
        """
        if self.settings["force"]:
            return True
        state = self.state()
        if state.record is not None:
            self._require_same_code(state.record)
        return not state.is_result

    def state(self) -> State:
        """Return how far the run is."""
        return self.directory.state()

    def result(self) -> Record | None:
        """Return the record, and log its status, if nothing is left to do; else return None.

        Raises ConfigurationError if the directory holds a record that is not of this run, or if the code has changed
        since the run was trained.
        """
        if self.settings["force"]:
            return None
        try:
            record = self.directory.read()
        except ValueError as error:
            raise ConfigurationError(f"{error}\nMove the directory away to run it again.") from error
        if record is not None:
            self._require_same_code(record)
        if record is None or not record.is_result:
            return None
        log.info("%s is already %s", self.id, record.status)
        return record

    def new_record(self) -> Record:
        """Return the record of the run before it starts."""
        return Record(
            run_id=self.id,
            experiment=self.experiment,
            seed=self.settings["seed"],
            choices=dict(self.choices),
            steps=self.settings["steps"],
            published=self.settings["published"],
            sources=dict(digest_sources(self.settings)),
        )

    def _require_same_code(self, record: Record) -> None:
        """Raise ConfigurationError if a result or a checkpoint is of other code, unless `reuse` is set."""
        is_kept = record.is_result or self.directory.checkpoint.exists()
        if self.settings["reuse"] or not record.sources or not is_kept:
            return
        changes = list_changes(record.sources, digest_sources(self.settings))
        if changes:
            raise ConfigurationError(
                f"{self.id} is {record.status}, but its code has changed since: {', '.join(changes)}. force=true runs"
                " it again and keeps the old run aside, reuse=true takes it as it is"
            )

    @contextmanager
    def own(self) -> Iterator[StepCounter]:
        """Own the directory, so that no other process trains the run, and copy what is logged meanwhile to its log.

        Returns what notes its steps. If `force` is set, the previous directory is moved aside first.

        Raises:
            OwnedElsewhereError: another living process trains the run.
            ConfigurationError: the directory cannot be written.
        """
        directory = self.directory
        with explain_unwritable(directory.path):
            if self.settings["force"] and directory.path.exists():
                with own(directory.path):
                    log.info("Re-running %s; previous results moved to %s", self.id, directory.move_aside().name)
            with own(directory.path) as steps, _log_to(directory.log):
                yield steps


@contextmanager
def explain_unwritable(path: Path) -> Iterator[None]:
    """Raise ConfigurationError, with the remedy, for an OSError of writing to a directory."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to {path}: {error.strerror}. Choose another place with output_root=DIR."
        ) from error


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    """Copy what is logged, warnings included, to a file, which is created with the first line."""
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    if not root.handlers:  # `hydra/job_logging=disabled` silences the terminal; the log is kept nevertheless
        for name in [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "normlab"]:
            logging.getLogger(name).disabled = False
        logging.getLogger("normlab").setLevel(logging.INFO)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
