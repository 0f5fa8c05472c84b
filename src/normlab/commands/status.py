"""The command `normlab-status`: how far the runs below a directory are, from what is on disk alone."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from normlab.processes.output import prepare_output
from normlab.runs.directory import RunDirectory, find_runs

STATUSES = ("finished", "diverged", "running", "interrupted", "failed", "died", "missing", "unreadable")
FAILURES = ("failed", "died", "unreadable")


def main() -> None:
    """Print a line per run that is not finished, and the counts; exit status 1 if something failed or died."""
    prepare_output()
    parser = argparse.ArgumentParser(prog="normlab-status", description=__doc__)
    parser.add_argument("directory", type=Path, nargs="+", help="an output directory, such as outputs/deep_cnn")
    runs = [run for place in parser.parse_args().directory for run in find_runs(place)]
    if not runs:
        sys.exit("there are no runs below these directories: name an output directory, such as outputs/deep_cnn")
    table = Table("run", "status", "steps", "")
    counts: Counter[str] = Counter()
    for run in runs:
        state = run.state()
        counts[state.status] += 1
        if state.status != "finished":
            steps = f"{_read_last_step(run)} of {state.record.steps}" if state.record else ""
            table.add_row(run.path.name, state.status, steps, state.reason)
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False, markup=False)
    if table.row_count:
        console.print(table)
    console.print(", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status]))
    sys.exit(1 if any(counts[status] for status in FAILURES) else 0)


def _read_last_step(directory: RunDirectory) -> int:
    """Return the step of the last whole row of the metrics."""
    try:
        rows = directory.metrics.read_text().rpartition("\n")[0].splitlines()[1:]
    except OSError:
        return 0
    return int(rows[-1].split(",")[0]) if rows else 0
