"""Single runs on the page: a row each, which opens to the run's error and links to its files."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from normlab.report.formatting import Entry, format_count, format_number
from normlab.report.load import Run


@dataclass(frozen=True)
class RunRow:
    run: Run
    entries: list[Entry]
    """Seed, status, final metric, seconds and step of divergence."""
    files: dict[str, str]
    """Name of a file → link to it."""


def build_row(run: Run, metric: str, directory: Path) -> RunRow:
    """Build the row of a run.

    Args:
        run: the run.
        metric: the main metric.
        directory: of the report; links are relative to it.
    """
    record, place = run.record, run.directory
    value = record.metrics.get(metric)
    entries = [
        Entry(str(record.seed), record.seed),
        Entry(run.status),
        Entry(format_number(value), value),
        Entry(format_number(record.seconds, 1), record.seconds),
        Entry("" if record.diverged_at is None else format_count(record.diverged_at), record.diverged_at),
    ]
    files = (place.record, place.config, place.metrics, place.log)
    return RunRow(run, entries, {file.name: quote(os.path.relpath(file, directory)) for file in files})
