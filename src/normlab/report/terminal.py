"""Report in the terminal: one table and the headline."""

import math
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from normlab.report.ablation import Ablation, Variant
from normlab.report.conditions import describe_conditions
from normlab.report.formatting import NOTHING, format_number, format_p, format_signed
from normlab.report.ranking import select_variants
from normlab.report.tables import format_mean

MOST_LINES = 20


def print_report(ablation: Ablation, directory: Path, file: TextIO) -> None:
    """Print final accuracies of the variants, the headline, the notes, and the path of the report.

    Args:
        ablation: results to print.
        directory: directory of the report.
        file: output file.
    """
    console = Console(file=file, width=None if file.isatty() else 120, highlight=False)
    if ablation.metrics:
        console.print(_make_table(ablation))
    lines = [ablation.headline, *ablation.notes[:MOST_LINES], f"Report: {directory / 'index.html'}"]
    if len(ablation.notes) > MOST_LINES:
        lines.insert(-1, f"… and {len(ablation.notes) - MOST_LINES} more notes, in the report")
    lines.append(f"Curves and hyperparameters: tensorboard --logdir {directory.parent}")
    console.print("\n".join(lines), soft_wrap=True, markup=False)


def _make_table(ablation: Ablation) -> Table:
    variants = select_variants(ablation, MOST_LINES)
    judged, *others = [name for name in ablation.metrics if name == ablation.metric or name.endswith("/accuracy")]
    is_compared = any(variant.against for variant in ablation.variants)
    is_published = any(variant.cells[judged].reproduction for variant in ablation.variants)
    table = Table(caption=_write_caption(ablation, len(variants)), caption_justify="left")
    table.add_column("variant", overflow="fold")
    headings = [
        "seeds",
        judged.replace("/", "\n"),
        *["difference", "p\n(Holm)"] * is_compared,
        *["published"] * is_published,
    ]
    for heading in [*headings, *(name.replace("/", "\n") for name in others)]:
        table.add_column(heading, justify="right", no_wrap=True)
    for variant in variants:
        cell = variant.cells[judged]
        cells = [escape(variant.name), _count_seeds(variant), format_mean(cell.summary)]
        if is_compared:
            cells.append(format_signed(cell.comparison.difference) if cell.comparison else NOTHING)
            cells.append(NOTHING if math.isnan(cell.adjusted_p) else format_p(cell.adjusted_p))
        if is_published:
            cells.append(format_number(cell.reproduction.published) if cell.reproduction else NOTHING)
        table.add_row(*cells, *(format_mean(variant.cells[name].summary) for name in others))
    return table


def _count_seeds(variant: Variant) -> str:
    finished = len(variant.finished)
    return str(finished) if finished == len(variant.runs) else f"{finished} of {len(variant.runs)}"


def _write_caption(ablation: Ablation, shown: int) -> str:
    text = "mean ± standard deviation over seeds; published: a single run"
    if shown < len(ablation.variants):
        text += f"; {shown} of {len(ablation.variants)} variants"
    return f"{text}\n{escape(describe_conditions(ablation.results.details))}"
