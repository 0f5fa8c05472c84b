"""Print the table and the headline of a report in the terminal."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from normlab.report.ablation import Ablation
from normlab.report.claims_table import format_claim
from normlab.report.columns import format_mean
from normlab.report.formatting import NOTHING
from normlab.report.tables import build_table, describe_conditions

MAX_ROWS = 12
MAX_NOTES = 5
CLAIM_HEADINGS = ("claim", "variant", "estimate", "claimed", "verdict")
HEADINGS = {"n": "seeds", "mean ± sd": ""}
"""Other headings than in files; empty for the name of the metric."""
DROPPED = ("95 % interval", "better in", "published", "its interval")
"""Columns that are left out first if the terminal is too narrow."""
WIDTH = 100
"""Characters of a line if the output is no terminal."""


def print_report(ablation: Ablation, directory: Path, file: TextIO) -> None:
    """Print the main metric and accuracies of the variants, the headline, notes and the path of the report.

    Args:
        ablation: the analysis.
        directory: of the report.
        file: to print to.
    """
    console = Console(file=file, width=None if file.isatty() else WIDTH, highlight=False)
    if ablation.claims:
        console.print(_build_claims(ablation, console.width))
    if ablation.metrics:
        console.print(_build_table(ablation, console.width))
    lines = [ablation.headline, *ablation.notes[:MAX_NOTES]]
    if len(ablation.notes) > MAX_NOTES:
        lines.append(f"… and {len(ablation.notes) - MAX_NOTES} more notes, in the report")
    lines.append(f"Report: {directory / 'index.html'}")
    lines.append(f"Curves and hyperparameters: tensorboard --logdir {shlex.quote(str(directory.parent))}")
    console.print("\n".join(lines), soft_wrap=True, markup=False)


def _build_table(ablation: Ablation, width: int) -> Table:
    """Build the table of the main metric, with accuracies of other splits, and as many columns as there is room for."""
    variants = ablation.select_variants(MAX_ROWS)
    results = build_table(ablation, ablation.metric, variants)
    columns = dict(zip(_shorten(results.factors), zip(*results.text, strict=True), strict=False))
    entries = zip(*(row.entries for row in results.rows), strict=True)
    for column, its in zip(results.columns, entries, strict=True):
        heading = HEADINGS.get(column.heading, column.heading) or ablation.metric
        if column.heading == "n":
            columns[heading] = tuple(" ".join(filter(None, (entry.text, entry.small))) for entry in its)
        elif any(entry.text not in (NOTHING, "") for entry in its):
            columns[heading] = tuple(entry.text for entry in its)
    needed = [*list(columns)[: len(results.factors)], ablation.metric]
    others = [name for name in ablation.metrics if name.endswith("/accuracy") and name != ablation.metric]
    for name in others:
        summaries = [variant.cells[name].summary for variant in variants]
        columns[name] = tuple(format_mean(summary) if summary else NOTHING for summary in summaries)
    for name in dict.fromkeys((*others, *DROPPED, *reversed(columns))):
        if sum(_measure_width(heading, cells) + 3 for heading, cells in columns.items()) < width:
            break
        if name not in needed:
            columns.pop(name, None)
    caption = f"mean ± standard deviation over seeds. {describe_conditions(ablation.results.details)}"
    if len(variants) < len(ablation.variants):
        caption += f" {len(variants)} of {len(ablation.variants)} variants: the baseline and the best."
    table = Table(caption=escape(caption), caption_justify="left")
    for place, name in enumerate(columns):
        is_factor = place < len(results.factors)
        heading = escape(name if is_factor else name.replace("/", "\n"))
        table.add_column(heading, justify="left" if is_factor else "right", overflow="fold")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*map(escape, row))
    return table


def _shorten(factors: Sequence[str]) -> list[str]:
    """Return the last part of each key, such as `lr` for `optimizer.lr`; the whole key if two have the same."""
    last = [factor.rpartition(".")[2] for factor in factors]
    return last if len(set(last)) == len(last) else list(factors)


def _measure_width(name: str, cells: Sequence[str]) -> int:
    return max(map(cell_len, [*name.split("/"), *cells]))


def _build_claims(ablation: Ablation, width: int) -> Table:
    """Build the table of claims: intervals stay in one line, other texts are wrapped, and claims get the room left."""
    rows: list[tuple[str, list[tuple[str, ...]]]] = []
    for judged in ablation.claims:
        lines: list[tuple[str, ...]] = []
        for line in format_claim(judged):
            variant, _, estimate, interval, claimed, _, verdict = line.cells
            lines.append((variant, f"{estimate} {interval}", "" if lines else claimed, verdict))
        rows.append((f"{judged.claim.name}: {judged.claim.says}", lines))
    texts = [[says for says, _ in rows], *zip(*(line for _, lines in rows for line in lines), strict=True)]
    columns = [[heading, *column] for heading, column in zip(CLAIM_HEADINGS, texts, strict=True)]
    least = [max(cell_len(word) for text in column for word in text.split()) for column in columns]
    widths = [max(map(cell_len, column)) for column in columns]
    least[2] = widths[2]
    while sum(widths) + 3 * len(widths) + 1 > width:
        wider = [place for place in range(len(widths)) if widths[place] > least[place]]
        if not wider:  # then words are split
            break
        widths[max(wider, key=widths.__getitem__)] -= 1
    table = Table(show_lines=True)
    for heading, its_width in zip(CLAIM_HEADINGS, widths, strict=True):
        table.add_column(heading, overflow="fold", width=its_width)
    for says, lines in rows:
        wrapped = [[wrap(text, its) or [""] for text, its in zip(line, widths[1:], strict=True)] for line in lines]
        # Each variant starts at the same height in all columns.
        padded = [[[*part, *[""] * (max(map(len, parts)) - len(part))] for part in parts] for parts in wrapped]
        cells = ["\n".join(text for parts in padded for text in parts[place]) for place in range(len(widths) - 1)]
        table.add_row(*map(escape, [says, *cells]))
    return table
