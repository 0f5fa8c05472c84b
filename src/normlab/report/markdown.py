"""`table.md`: a table per metric for a README or an issue."""

import html
import re
from collections.abc import Sequence

from normlab.report.ablation import Ablation
from normlab.report.tables import HEADINGS, cross_tabulate, format_lines, write_caption


def write_markdown(ablation: Ablation) -> str:
    """Return headline, notes and tables; the two-way table comes first if there are two factors."""
    parts = [f"# {escape_markdown(ablation.title)}", escape_markdown(ablation.headline)]
    if ablation.notes:
        parts.append("\n".join(f"- {escape_markdown(note)}" for note in ablation.notes))
    grid = cross_tabulate(ablation)
    if grid is not None:
        headings = [f"{grid.index.name} \\ {grid.columns.name}", *grid.columns]
        rows = [[escape_markdown(cell) for cell in row] for row in grid.reset_index().to_numpy().tolist()]
        parts += [
            f"## {escape_markdown(ablation.metric)}, both factors",
            _render_table([*map(escape_markdown, headings)], rows),
        ]
    for metric in ablation.metrics:
        rows = []
        for line in format_lines(ablation, metric, ablation.variants):
            variant, n, mean, interval, difference, *others = map(escape_markdown, line.cells)
            mean = f"**{mean}**" if line.is_best else mean
            rows.append([variant, n, mean, interval, difference + "\\*" * line.is_significant, *others])
        parts += [f"## {escape_markdown(metric)}", _render_table(HEADINGS, rows)]
    return "\n\n".join([*parts, escape_markdown(write_caption(ablation))]) + "\n"


def _render_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [headings, ["---"] * len(headings), *rows])


def escape_markdown(text: str) -> str:
    """Return Markdown that displays the text literally, in one line."""
    text = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", text)
