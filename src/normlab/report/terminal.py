"""Print the claims, the main table and the headline of a report in the terminal."""

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import pandas as pd
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from normlab.report.ablation import Ablation
from normlab.report.claims_table import format_claim
from normlab.report.columns import MEAN, format_summary
from normlab.report.formatting import NOTHING, format_counts, format_number
from normlab.report.tables import build_table, describe_conditions

MAX_ROWS = 12
MAX_NOTES = 5
MAX_VARIANTS = 4
"""Variants of a claim up to which each has a line."""
DROPPED = (
    *("steps to threshold", "threshold", "success rate", "95 % interval", "better in", "published", "its interval"),
    *("difference", "n"),
)
"""Columns that are left out, in this order, if the terminal is too narrow."""
WIDTH = 100
"""Characters of a line if the output is no terminal."""


def print_report(ablation: Ablation, directory: Path, file: TextIO) -> None:
    """Print claims, the main metric and accuracies of the variants, the headline, notes and the report's directory."""
    console = Console(file=file, width=None if file.isatty() else WIDTH, highlight=False)
    if ablation.claims:
        console.print(_build_claims(ablation))
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
    texts = [*zip(*results.text, strict=True)]
    columns = [("", name, cells) for name, cells in zip(_shorten(results.factors), texts, strict=False)]
    for column, cells in zip(results.columns, texts[len(columns) :], strict=True):
        names = {"n": "seeds", MEAN: ablation.metric}
        columns.append((column.heading, names.get(column.heading, column.heading), cells))
    others = [name for name in ablation.metrics if name.endswith("/accuracy") and name != ablation.metric]
    columns += [(name, name, tuple(format_summary(it.cells[name].summary) for it in variants)) for name in others]
    for name in (*others, *DROPPED):
        if sum(max(map(cell_len, [*heading.split("/"), *cells])) + 3 for _, heading, cells in columns) < width:
            break
        columns = [column for column in columns if column[0] != name]
    caption = f"mean ± standard deviation over seeds. {describe_conditions(ablation.results.details)}"
    if len(variants) < len(ablation.variants):
        caption += f" {len(variants)} of {len(ablation.variants)} variants: the baseline and the best."
    table = Table(caption=escape(caption), caption_justify="left")
    for name, heading, _ in columns:
        heading = heading.replace("/", "\n") if name else heading
        table.add_column(escape(heading), justify="right" if name else "left", overflow="fold")
    for row in zip(*(cells for _, _, cells in columns), strict=True):
        table.add_row(*map(escape, row))
    return table


def _shorten(factors: Sequence[str]) -> list[str]:
    """Return the last part of each key, such as `lr` for `optimizer.lr`; the whole key if two have the same."""
    last = [factor.rpartition(".")[2] for factor in factors]
    return last if len(set(last)) == len(last) else list(factors)


def _build_claims(ablation: Ablation) -> Table:
    """Build the table of claims: each, and below it the variants that it is about, or their number if they are many."""
    table = Table()
    for heading in ("claim", "estimate", "claimed", "verdict"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "estimate")
    for judged in ablation.claims:
        lines = format_claim(judged)
        outcome = judged.outcome if len(lines) > 1 else ""
        table.add_row(*map(escape, (f"{judged.claim.name}: {judged.claim.says}", "", lines[0][4], outcome)))
        rows = [
            (
                re.sub(r"[\w.]+\.(?=\w+=)", "", variant),
                estimate if interval == NOTHING else f"{estimate} {interval}",
                verdict,
            )
            for variant, _, estimate, interval, _, _, verdict in lines
        ]
        if len(rows) > MAX_VARIANTS:
            found = pd.DataFrame([verdict.judgement for verdict in judged.verdicts])
            ends = map(format_number, (found["estimate"].min(), found["estimate"].max()))
            estimates = " to ".join(dict.fromkeys(ends))
            rows = [(f"{len(rows)} variants", estimates, format_counts(Counter(found["outcome"])))]
        for variant, estimate, verdict in rows:
            table.add_row(Padding(escape(variant), (0, 0, 0, 2)), estimate, "", escape(verdict))
        table.add_section()
    return table
