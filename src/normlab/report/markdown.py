"""`table.md` and `claims.md`: tables for a README or an issue."""

import html
import re
from collections.abc import Sequence

from normlab.report import claims_table
from normlab.report.ablation import Ablation
from normlab.report.claims_table import describe_origin, explain_claims, format_claim
from normlab.report.columns import MEAN
from normlab.report.tables import build_table, cross_tabulate, format_effects, write_caption

BOLD = "Bold: the best mean."


def write_markdown(ablation: Ablation) -> str:
    """Return headline, claims, notes and tables; the two-way table comes first if there are two factors."""
    parts = [f"# {escape_markdown(ablation.title)}", escape_markdown(ablation.headline)]
    if ablation.claims:
        parts.append(write_claims(ablation).rstrip())
    if ablation.notes:
        parts.append("\n".join(f"- {escape_markdown(note)}" for note in ablation.notes))
    if grid := cross_tabulate(ablation):
        parts += [f"## {escape_markdown(ablation.metric)}, both factors", _render_table(*grid)]
    if effects := format_effects(ablation):
        parts += ["## Effects, averaged over the other factors", _render_table(*effects)]
    for metric in ablation.metrics:
        table = build_table(ablation, metric, ablation.variants)
        place = table.headings.index(MEAN)
        parts += [
            f"## {escape_markdown(metric)}",
            _render_table(table.headings, table.text, [(it, place) for it in table.best]),
        ]
    return "\n\n".join([*parts, escape_markdown(f"{write_caption(ablation)} {BOLD}")]) + "\n"


def write_claims(ablation: Ablation) -> str:
    """Return each claim with its verdict, and a table of the variants that it is about."""
    parts = []
    for judged in ablation.claims:
        name, says = escape_markdown(judged.claim.name), escape_markdown(judged.claim.says)
        lines = format_claim(judged)
        remarks = [*(f"{line.cells[0]}: {note}." for line in lines for note in line.notes), describe_origin(judged)]
        parts += [f"**{name}: {judged.outcome}.** {says}"]
        parts += [
            _render_table(claims_table.HEADINGS, [line.cells for line in lines]),
            escape_markdown(" ".join(remarks)),
        ]
    if parts:
        parts.append(escape_markdown(explain_claims()))
    return "\n\n".join(parts) + "\n"


def _render_table(headings: Sequence[str], rows: Sequence[Sequence[str]], bold: Sequence[tuple[int, int]] = ()) -> str:
    """Render text as a table; cells whose (row, column) is in `bold` are bold."""
    body = [[escape_markdown(cell) for cell in row] for row in rows]
    for row, column in bold:
        body[row][column] = f"**{body[row][column]}**"
    head = [[escape_markdown(heading) for heading in headings], ["---"] * len(headings)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [*head, *body])


def escape_markdown(text: str) -> str:
    """Return Markdown that displays the text literally, in one line."""
    text = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", text)
