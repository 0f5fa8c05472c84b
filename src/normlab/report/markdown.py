"""`table.md`: a table of each metric for a README or an issue."""

import html
import re
from collections.abc import Sequence

from normlab.report.ablation import Ablation
from normlab.report.tables import HEADINGS, caption, lines_of, two_way


def markdown(ablation: Ablation) -> str:
    """Return headline, notes and tables, the two-way one first where two factors vary."""
    parts = [f"# {plain(ablation.title)}", plain(ablation.headline)]
    if ablation.notes:
        parts.append("\n".join(f"- {plain(note)}" for note in ablation.notes))
    grid = two_way(ablation)
    if grid is not None:
        corner = f"{grid.index.name} \\ {grid.columns.name}"
        rows = [[str(name), *row] for name, row in zip(grid.index, grid.to_numpy().tolist(), strict=True)]
        parts += [f"## {plain(ablation.metric)}, both factors", _table([corner, *map(str, grid.columns)], rows)]
    for metric in ablation.metrics:
        rows = []
        for line in lines_of(ablation, metric, ablation.variants):
            variant, n, mean, interval, difference, *others = map(plain, line.cells)
            mean = f"**{mean}**" if line.is_best else mean
            rows.append([variant, n, mean, interval, difference + "\\*" * line.is_significant, *others])
        parts += [f"## {plain(metric)}", _lines(HEADINGS, rows)]
    return "\n\n".join([*parts, plain(caption(ablation))]) + "\n"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return _lines([plain(cell) for cell in headings], [[plain(cell) for cell in row] for row in rows])


def _lines(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [headings, ["---"] * len(headings), *rows])


def plain(text: str) -> str:
    """Return Markdown that shows the text as it is, in one line: names of variants hold what they like."""
    text = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", text)
