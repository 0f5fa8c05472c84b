"""Render the page of a report: one self-contained HTML file that works offline."""

import os
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from normlab.report.ablation import Ablation
from normlab.report.claims_table import EXPLANATION, HEADINGS, format_claim, write_remarks
from normlab.report.figures.drawing import Figure
from normlab.report.formatting import (
    NOTHING,
    Entry,
    format_count,
    format_counts,
    format_number,
    format_ranges,
    format_statuses,
)
from normlab.report.load import Run
from normlab.report.tables import build_table, describe_conditions, format_effects, write_caption
from normlab.report.variants import describe_settings

LINK = Markup('<a href="{}">{}</a>')
ERROR = Markup("<details><summary>{}</summary><pre>{}</pre></details>")


def write_page(ablation: Ablation, figures: Sequence[Figure], directory: Path, place: Path) -> None:
    """Write `index.html` beside `figures/` in `directory`, which will be moved to `place`: its links start there."""
    runs = [run for variant in ablation.variants for run in variant.runs]
    images = [b64encode((directory / "figures" / f"{figure.name}.svg").read_bytes()).decode() for figure in figures]
    write_html(
        directory / "index.html",
        "page.html.jinja",
        ablation=ablation,
        claims=[(judged, format_claim(judged), write_remarks(judged)) for judged in ablation.claims],
        claim_headings=HEADINGS,
        explanation=EXPLANATION,
        setup=describe_setup(runs),
        tables=[build_table(ablation, metric, ablation.variants) for metric in ablation.metrics],
        caption=write_caption(ablation),
        effects=format_effects(ablation),
        figures=list(zip(figures, images, strict=True)),
        run_headings=("run", "variant", "seed", "status", ablation.metric, "seconds", "diverged at step", "files"),
        runs=[_build_row(run, ablation.metric, place) for run in runs],
        conditions=describe_conditions(runs),
        version=version("normlab"),
    )


def write_html(file: Path, template: str, **content: Any) -> None:
    """Render a template; all content is escaped, except `Markup`. Raises OSError."""
    loader = PackageLoader("normlab.report.page", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = environment.get_template(template).render(content)
    file.write_bytes(text.encode("utf-8", errors="replace"))  # paths and errors may hold what UTF-8 cannot encode


def describe_setup(runs: Sequence[Run]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the keys of configs and environments in which runs differ, and those that all share, with their values.

    The differing ones begin with the states of the runs and their seeds.
    """
    settings = [
        describe_settings(run.config)
        | {f"environment.{key}": str(value) for key, value in run.record.environment.items()}
        for run in runs
    ]
    seeds = [run.record.seed for run in runs]
    differing = [
        ("runs", f"{len(runs)}: {format_statuses(Counter(run.status for run in runs))}"),
        ("seed", f"{len(set(seeds))}: {format_ranges(seeds)}"),
    ]
    shared: list[tuple[str, str]] = []
    for key in sorted({key for values in settings for key in values} - {"seed"}):
        counts = Counter(values.get(key, NOTHING) for values in settings)
        (differing if len(counts) > 1 else shared).append((key, format_counts(counts)))
    return differing, shared


def _build_row(run: Run, metric: str, place: Path) -> list[str | Entry]:
    """Build the row of a run, with its error and links to its files relative to `place`."""
    record, directory = run.record, run.directory
    value = record.metrics.get(metric)
    files = (directory.record, directory.config, directory.metrics, directory.log)
    link = quote(os.path.relpath(directory.path, place))
    return [
        run.id,
        run.variant,
        Entry(str(record.seed), record.seed),
        ERROR.format(run.status, record.error.strip()) if record.error else run.status,
        Entry(format_number(value), value),
        Entry(format_number(record.seconds, 1), record.seconds),
        Entry("" if record.diverged_at is None else format_count(record.diverged_at), record.diverged_at),
        Markup(" ").join(LINK.format(f"{link}/{file.name}", file.name) for file in files),
    ]
