"""What the terminal shows of a report: one table and the headline."""

import math
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from normlab.report.ablation import Ablation, Variant
from normlab.report.conditions import conditions_in_words
from normlab.report.formatting import NOTHING, decimal, probability, signed
from normlab.report.ranking import that_fit
from normlab.report.tables import mean_and_deviation

MOST_LINES = 20


def print_report(ablation: Ablation, directory: Path, file: TextIO) -> None:
    """Print final accuracies of the variants, the headline, the notes, and where the rest of the report lies.

    Args:
        ablation: what was found.
        directory: of the report.
        file: where to print.
    """
    console = Console(file=file, width=None if file.isatty() else 120, highlight=False)
    if ablation.metrics:
        console.print(_table(ablation))
    lines = [ablation.headline, *ablation.notes[:MOST_LINES], f"Report: {directory / 'index.html'}"]
    if len(ablation.notes) > MOST_LINES:
        lines.insert(-1, f"… and {len(ablation.notes) - MOST_LINES} more notes, in the report")
    lines.append(f"Curves and hyperparameters: tensorboard --logdir {directory.parent}")
    console.print("\n".join(lines), soft_wrap=True, markup=False)


def _table(ablation: Ablation) -> Table:
    variants = that_fit(ablation, MOST_LINES)
    judged, *others = [name for name in ablation.metrics if name == ablation.metric or name.endswith("/accuracy")]
    is_compared = any(variant.against for variant in ablation.variants)
    is_published = any(variant.cells[judged].reproduction for variant in ablation.variants)
    table = Table(caption=_caption(ablation, len(variants)), caption_justify="left")
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
        cells = [escape(variant.name), _seeds(variant), mean_and_deviation(cell.summary)]
        if is_compared:
            cells.append(signed(cell.comparison.difference) if cell.comparison else NOTHING)
            cells.append(NOTHING if math.isnan(cell.adjusted_p) else probability(cell.adjusted_p))
        if is_published:
            cells.append(decimal(cell.reproduction.published) if cell.reproduction else NOTHING)
        table.add_row(*cells, *(mean_and_deviation(variant.cells[name].summary) for name in others))
    return table


def _seeds(variant: Variant) -> str:
    finished = len(variant.finished)
    return str(finished) if finished == len(variant.runs) else f"{finished} of {len(variant.runs)}"


def _caption(ablation: Ablation, shown: int) -> str:
    told = "mean ± standard deviation over seeds; published: one run of its author's"
    if shown < len(ablation.variants):
        told += f"; {shown} of {len(ablation.variants)} variants"
    return f"{told}\n{escape(conditions_in_words(ablation.results.details))}"
