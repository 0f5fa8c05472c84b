"""Single runs on the page: a row each, and the details that a reader opens."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any
from urllib.parse import quote as quote_url

from normlab.report.ablation import Ablation
from normlab.report.formatting import NOTHING, Shown, decimal, sortable, whole
from normlab.report.load import Run
from normlab.report.page.setup_in_words import differing_keys


@dataclass(frozen=True)
class Row:
    run: Run
    cells: list[Shown]


def rows(ablation: Ablation) -> list[Row]:
    """Return the row of each run, variants in the order of the report: seed, status, metric, seconds, divergence."""
    return [Row(run, _cells(run, ablation.metric)) for variant in ablation.variants for run in variant.runs]


def details(ablation: Ablation, settings: Mapping[str, Mapping[str, str]], directory: Path) -> dict[str, Any]:
    """Return run id → details, as JSON data.

    Args:
        ablation: of the runs.
        settings: run id → flat identity config.
        directory: of the report, in which links to the files of a run start.
    """
    differing = differing_keys(settings)
    return {run.id: _details(run, settings[run.id], differing, directory) for run in ablation.results.details}


def _details(run: Run, values: Mapping[str, str], differing: list[str], directory: Path) -> dict[str, Any]:
    files = run.directory
    return {
        "path": str(files.path),
        "command": f"normlab-rerun {quote(str(files.path))}",
        "error": (run.record.error or "").strip(),
        "settings": [[key, values[key]] for key in differing if key in values],
        "files": {
            file.name: quote_url(os.path.relpath(file, directory))
            for file in (files.record, files.config, files.metrics, files.log)
        },
    }


def _cells(run: Run, metric: str) -> list[Shown]:
    record = run.record
    value, seconds = record.metrics.get(metric), record.seconds
    return [
        Shown(str(record.seed), str(record.seed)),
        Shown(run.status),
        Shown(decimal(value), sortable(value)),
        Shown(NOTHING if seconds is None else decimal(seconds, 1), sortable(seconds)),
        Shown("" if record.diverged_at is None else whole(record.diverged_at), sortable(record.diverged_at)),
    ]
