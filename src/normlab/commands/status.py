"""The command `normlab-status`: how far the runs below a directory are, from what is on disk alone."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from normlab.processes.output import prepare_output
from normlab.runs.directory import find_runs
from normlab.runs.steps import Steps, describe_steps, read_steps

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
    made = planned = 0
    seconds_left: list[float] = []
    for run in runs:
        state = run.state()
        counts[state.status] += 1
        shown = ""
        if (record := state.record) is not None:
            steps = Steps(record.steps) if state.status == "finished" else read_steps(run.path)
            shown = f"{steps.made:,} of {record.steps:,}"
            made += record.steps if record.is_result else steps.made
            planned += record.steps
            if state.status == "running" and steps.seconds_per_step is not None:
                seconds_left.append((record.steps - steps.made) * steps.seconds_per_step)
        if state.status != "finished":
            table.add_row(run.path.name, state.status, shown, state.reason)
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False, markup=False)
    if table.row_count:
        console.print(table)
    summary = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    console.print(f"{summary}; {describe_steps(made, planned, max(seconds_left, default=None))}")
    sys.exit(1 if any(counts[status] for status in FAILURES) else 0)
