"""Runs on the page: a row each, and details to open."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any
from urllib.parse import quote as quote_url

from normlab.report.ablation import Ablation
from normlab.report.formatting import NOTHING, Shown, format_count, format_number, sort_key
from normlab.report.load import Run
from normlab.report.page.setup import find_differing_keys


@dataclass(frozen=True)
class Row:
    run: Run
    cells: list[Shown]


def make_run_rows(ablation: Ablation) -> list[Row]:
    """Return a row per run, in the order of the variants: seed, status, metric, seconds, step of divergence."""
    return [Row(run, _make_cells(run, ablation.metric)) for variant in ablation.variants for run in variant.runs]


def collect_details(ablation: Ablation, settings: Mapping[str, Mapping[str, str]], directory: Path) -> dict[str, Any]:
    """Return details by run id, as JSON data.

    Args:
        ablation: results to describe.
        settings: flat identity config by run id.
        directory: directory of the report, the base of relative links.
    """
    differing = find_differing_keys(settings)
    return {run.id: _describe(run, settings[run.id], differing, directory) for run in ablation.results.details}


def _describe(run: Run, values: Mapping[str, str], differing: list[str], directory: Path) -> dict[str, Any]:
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


def _make_cells(run: Run, metric: str) -> list[Shown]:
    record = run.record
    value, seconds = record.metrics.get(metric), record.seconds
    return [
        Shown(str(record.seed), str(record.seed)),
        Shown(run.status),
        Shown(format_number(value), sort_key(value)),
        Shown(NOTHING if seconds is None else format_number(seconds, 1), sort_key(seconds)),
        Shown("" if record.diverged_at is None else format_count(record.diverged_at), sort_key(record.diverged_at)),
    ]
