"""Print the table and the headline of a report in the terminal."""

import shlex
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from normlab.report.ablation import Ablation, Variant
from normlab.report.claims_table import format_claim
from normlab.report.formatting import NOTHING, format_number
from normlab.report.tables import describe_conditions, format_comparison, format_mean

MAX_LINES = 20


def print_report(ablation: Ablation, directory: Path, file: TextIO) -> None:
    """Print the main metric and accuracies of the variants, the headline, notes and the path of the report.

    Args:
        ablation: the analysis.
        directory: of the report.
        file: to print to.
    """
    console = Console(file=file, width=None if file.isatty() else 120, highlight=False)
    if ablation.claims:
        console.print(_build_claims(ablation))
    if ablation.metrics:
        console.print(_build_table(ablation))
    lines = [ablation.headline, *ablation.notes[:MAX_LINES]]
    if len(ablation.notes) > MAX_LINES:
        lines.append(f"… and {len(ablation.notes) - MAX_LINES} more notes, in the report")
    lines.append(f"Report: {directory / 'index.html'}")
    lines.append(f"Curves and hyperparameters: tensorboard --logdir {shlex.quote(str(directory.parent))}")
    console.print("\n".join(lines), soft_wrap=True, markup=False)


def _build_table(ablation: Ablation) -> Table:
    variants = ablation.select_variants(MAX_LINES)
    main, *others = [name for name in ablation.metrics if name == ablation.metric or name.endswith("/accuracy")]
    is_compared = any(variant.against for variant in ablation.variants)
    is_published = any(variant.cells[main].reproduction for variant in ablation.variants)
    caption = "mean ± standard deviation over seeds"
    if is_published:
        caption += "; published figures are single runs by the original author"
    if len(variants) < len(ablation.variants):
        caption += f"; {len(variants)} of {len(ablation.variants)} variants"
    caption += f"\n{escape(describe_conditions(ablation.results.details))}"
    table = Table(caption=caption, caption_justify="left")
    table.add_column("variant", overflow="fold")
    compared = ["difference", "its 95 %\ninterval", "better in"] if is_compared else []
    headings = ["seeds", main, *compared, *["published"] * is_published, *others]
    for heading in headings:
        table.add_column(heading.replace("/", "\n"), justify="right", no_wrap=True)
    for variant in variants:
        cell = variant.cells[main]
        cells = [escape(variant.name), _count_seeds(variant), format_mean(cell.summary)]
        if is_compared:
            cells += format_comparison(cell.comparison)
        if is_published:
            cells.append(format_number(cell.reproduction.published) if cell.reproduction else NOTHING)
        table.add_row(*cells, *(format_mean(variant.cells[name].summary) for name in others))
    return table


def _build_claims(ablation: Ablation) -> Table:
    table = Table(show_lines=True)
    for heading in ("claim", "variant", "estimate", "claimed", "verdict"):
        table.add_column(heading, overflow="fold")
    for judged in ablation.claims:
        # A column of variants, of metrics, of estimates and so on.
        variants, _, estimates, intervals, claimed, _, verdicts = zip(
            *(line.cells for line in format_claim(judged)), strict=True
        )
        both = map(" ".join, zip(estimates, intervals, strict=True))
        says = f"{judged.claim.name}: {judged.claim.says}"
        columns = ([says], variants, both, claimed[:1], verdicts)
        table.add_row(*(escape("\n".join(column)) for column in columns))
    return table


def _count_seeds(variant: Variant) -> str:
    finished, total = len(variant.complete_runs), len(variant.runs)
    return str(finished) if finished == total else f"{finished} of {total}"
