"""`table.md`: a table per metric for a README or an issue."""

import html
import re
from collections.abc import Sequence

from normlab.report import claims_table
from normlab.report.ablation import Ablation
from normlab.report.claims_table import describe_origin, explain_claims, format_claim
from normlab.report.tables import build_table, cross_tabulate, format_effects, write_caption

BOLD = "Bold: the best mean."


def write_markdown(ablation: Ablation) -> str:
    """Return headline, notes and tables; the two-way table comes first if there are two factors."""
    parts = [f"# {escape_markdown(ablation.title)}", escape_markdown(ablation.headline)]
    if ablation.claims:
        parts.append(write_claims(ablation).rstrip())
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
    if effects := format_effects(ablation):
        headings, rows = effects
        parts += ["## Effects, averaged over the other factors", _render_table(headings, rows)]
    for metric in ablation.metrics:
        table = build_table(ablation, metric, ablation.variants)
        rows = [[*map(escape_markdown, cells)] for cells in table.text]
        mean = table.headings.index("mean ± sd")
        for cells, row in zip(rows, table.rows, strict=True):
            cells[mean] = f"**{cells[mean]}**" if row.is_best else cells[mean]
        parts += [f"## {escape_markdown(metric)}", _render_table([*map(escape_markdown, table.headings)], rows)]
    return "\n\n".join([*parts, escape_markdown(f"{write_caption(ablation)} {BOLD}")]) + "\n"


def write_claims(ablation: Ablation) -> str:
    """Return each claim with its verdict, and a table of the variants that it is about."""
    parts = []
    for judged in ablation.claims:
        parts.append(
            f"**{escape_markdown(judged.claim.name)}: {judged.outcome}.** {escape_markdown(judged.claim.says)}"
        )
        lines = format_claim(judged)
        parts.append(_render_table(claims_table.HEADINGS, [[*map(escape_markdown, line.cells)] for line in lines]))
        remarks = [*(f"{line.cells[0]}: {note}." for line in lines for note in line.notes), describe_origin(judged)]
        parts.append(escape_markdown(" ".join(remarks)))
    if parts:
        parts.append(escape_markdown(explain_claims()))
    return "\n\n".join(parts) + "\n"


def _render_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [headings, ["---"] * len(headings), *rows])


def escape_markdown(text: str) -> str:
    """Return Markdown that displays the text literally, in one line."""
    text = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", text)
