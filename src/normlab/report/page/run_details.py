"""Single runs on the page: a row each, and details that open below it."""

import os
from pathlib import Path
from shlex import quote
from typing import Any
from urllib.parse import quote as quote_url

from normlab.report.formatting import Entry, format_count, format_number
from normlab.report.load import Results, Run
from normlab.report.page.setup import Setup


def build_row(run: Run, metric: str) -> list[Entry]:
    """Return seed, status, final metric, seconds and step of divergence."""
    record = run.record
    value = record.metrics.get(metric)
    return [
        Entry(str(record.seed), record.seed),
        Entry(run.status),
        Entry(format_number(value), value),
        Entry(format_number(record.seconds, 1), record.seconds),
        Entry("" if record.diverged_at is None else format_count(record.diverged_at), record.diverged_at),
    ]


def collect_details(results: Results, setup: Setup, directory: Path) -> dict[str, dict[str, Any]]:
    """Return run id → path, command, error, differing settings and links to files, as JSON data.

    Args:
        results: the runs.
        setup: their configs.
        directory: of the report; links are relative to it.
    """
    return {
        run.id: {
            "path": str(run.directory.path),
            "command": f"normlab-rerun {quote(str(run.directory.path))}",
            "error": (run.record.error or "").strip(),
            "settings": [[key, value] for key, value in setup.settings[run.id].items() if key in setup.differing],
            "files": {
                file.name: quote_url(os.path.relpath(file, directory))
                for file in (run.directory.record, run.directory.config, run.directory.metrics, run.directory.log)
            },
        }
        for run in results.details
    }
