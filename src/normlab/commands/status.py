"""The command `normlab-status`: how far the runs below a directory are, from their records alone."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from normlab.runs.ownership import owner_of
from normlab.runs.record import Record, RunDirectory

IN_ORDER = ("finished", "diverged", "running", "interrupted", "failed", "died", "unreadable")


def main() -> None:
    """Print one line per run that is not finished, and the counts; exit status 1 where something failed or died."""
    parser = argparse.ArgumentParser(prog="normlab-status", description=__doc__)
    parser.add_argument("directory", type=Path, nargs="+", help="an output directory, such as outputs/deep_cnn")
    runs = [path.parent for place in parser.parse_args().directory for path in sorted(place.rglob("run.json"))]
    if not runs:
        sys.exit("there are no runs below what was named: name an output directory, such as outputs/deep_cnn")
    table = Table("run", "status", "updates", "")
    counts: Counter[str] = Counter()
    for run in runs:
        status, updates, told = state_of(RunDirectory(run))
        counts[status] += 1
        if status != "finished":
            table.add_row(run.name, status, updates, told)
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    if table.row_count:
        console.print(table)
    console.print(", ".join(f"{counts[status]} {status}" for status in IN_ORDER if counts[status]))
    sys.exit(1 if counts["failed"] + counts["died"] + counts["unreadable"] else 0)


def state_of(directory: RunDirectory) -> tuple[str, str, str]:
    """Return the status of a run, how many of its updates it has observed, and who makes it or why it ended.

    Beside the statuses of records, a run is `died` where it says that it runs and nobody owns it.
    """
    try:
        record = directory.read()
    except ValueError as error:
        return "unreadable", "", str(error)
    assert record is not None  # it was found by its record
    updates = f"{_updates_observed(directory)} of {record.steps}"
    if record.status != "running":
        return record.status, updates, _why(record)
    owner = owner_of(directory.path)
    return ("running", updates, owner) if owner else ("died", updates, "goes on when it is asked for again")


def _why(record: Record) -> str:
    if record.diverged_at is not None:
        return f"the loss of update {record.diverged_at} is not finite"
    return record.reason


def _updates_observed(directory: RunDirectory) -> int:
    """Return the step of the last whole row of the metrics."""
    try:
        rows = directory.metrics.read_text().rpartition("\n")[0].splitlines()[1:]
    except OSError:
        return 0
    return int(rows[-1].split(",")[0]) if rows else 0
