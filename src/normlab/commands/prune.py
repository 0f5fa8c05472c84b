"""The command `normlab-prune`: list what reports do not need, and remove it if asked to."""

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from normlab.processes.output import prepare_output
from normlab.runs.directory import find_runs, measure_size
from normlab.runs.ownership import find_owner

CHECKPOINTS = "checkpoints of runs that have ended"
ASIDE = "directories of runs that force=true has repeated"
EVENTS = "event files whose steps a later start of the run has repeated"


def main() -> None:
    """Print what can be removed by kind, with its size; remove it with --yes. Exit status 2 without a directory."""
    prepare_output()
    parser = argparse.ArgumentParser(prog="normlab-prune", description=__doc__)
    parser.add_argument("directory", type=Path, nargs="+", help="an output directory, such as outputs/deep_cnn")
    parser.add_argument("--yes", action="store_true", help="remove it; networks can then not be restored")
    arguments = parser.parse_args()
    for directory in arguments.directory:
        if not directory.is_dir():
            parser.error(f"{directory} is not a directory: name one that normlab wrote, such as outputs/deep_cnn")
    found = dict(item for directory in arguments.directory for item in find_prunable(directory))
    table = Table("", "", "size")
    for kind in (CHECKPOINTS, ASIDE, EVENTS):
        sizes = [measure_size(path) for path, its in found.items() if its == kind]
        table.add_row(str(len(sizes)), kind, decimal(sum(sizes)))
    Console(width=None if sys.stdout.isatty() else 100, highlight=False).print(table)
    if arguments.yes:
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        print("Removed. Reports stay as they are; normlab-rerun trains a network again.")
    elif found:
        print("Nothing is removed yet: --yes removes it. Networks can then not be restored, only trained again.")


def find_prunable(directory: Path) -> Iterator[tuple[Path, str]]:
    """Yield paths that reports do not need, and the kind of each."""
    for run in find_runs(directory):
        if run.is_aside:
            if find_owner(run.path) is None:
                yield run.path, ASIDE
            continue
        if not run.state().is_result:
            continue
        if run.checkpoint.parent.is_dir():
            yield run.checkpoint.parent, CHECKPOINTS
        yield from ((path, EVENTS) for path in _find_repeated(sorted(run.path.glob("events.out.tfevents.*"))))


def _find_repeated(files: list[Path]) -> list[Path]:
    """Return the event files of one run all of whose steps are in a later one, which TensorBoard shows instead."""
    firsts = [_read_first_step(file) for file in files]
    return [file for place, file in enumerate(files) if any(later <= firsts[place] for later in firsts[place + 1 :])]


def _read_first_step(file: Path) -> float:
    """Return the smallest step of an event file; infinite if it has none."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader  # type: ignore[import-untyped]

    steps = (event.step for event in EventFileLoader(str(file)).Load() if event.HasField("summary"))
    return min(steps, default=float("inf"))
