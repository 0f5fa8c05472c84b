"""`table.md` and `claims.md`: tables for a README or an issue."""

import html
import re
from collections.abc import Sequence

from normlab.report.ablation import Ablation
from normlab.report.claims_table import EXPLANATION, HEADINGS, format_claim, write_remarks
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
        parts += [f"## {escape_markdown(metric)}", _render_table(table.headings, table.text, table.best)]
    return "\n\n".join([*parts, escape_markdown(f"{write_caption(ablation)} {BOLD}")]) + "\n"


def write_claims(ablation: Ablation) -> str:
    """Return each claim with its verdict, and a table of the variants that it is about."""
    parts = []
    for judged in ablation.claims:
        name, says = escape_markdown(judged.claim.name), escape_markdown(judged.claim.says)
        parts.append(f"**{name}: {judged.outcome}.** {says}")
        parts += [_render_table(HEADINGS, format_claim(judged)), escape_markdown(write_remarks(judged))]
    if parts:
        parts.append(escape_markdown(EXPLANATION))
    return "\n\n".join(parts) + "\n"


def _render_table(headings: Sequence[str], rows: Sequence[Sequence[str]], best: Sequence[int] = ()) -> str:
    """Render rows of text; the means of the `best` rows are bold."""
    head, *body = ([escape_markdown(cell) for cell in row] for row in (headings, *rows))
    for row in best:
        body[row][headings.index(MEAN)] = f"**{body[row][headings.index(MEAN)]}**"
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body))


def escape_markdown(text: str) -> str:
    """Return Markdown that displays the text literally, in one line."""
    text = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", text)
