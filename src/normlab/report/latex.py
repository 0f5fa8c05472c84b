"""`table.tex`: booktabs tables to include in a paper."""

import re
from collections.abc import Sequence

from normlab.report.ablation import Ablation
from normlab.report.columns import MEAN
from normlab.report.markdown import BOLD
from normlab.report.tables import build_table, cross_tabulate, describe_conditions, write_caption

MAX_LINES = 40
"""Lines that fit a page."""
MAX_COLUMNS = 8
LEFT_OUT = ("threshold", "success rate", "steps to threshold", "better in", "95 % interval")
"""Columns for which a page is too narrow, the last if there are several factors."""
SPECIAL = str.maketrans(
    {
        **{letter: f"\\{letter}" for letter in "&%$#_{}"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        **{"±": r"$\pm$", "−": "$-$", "–": "--", "×": r"$\times$", "<": "$<$", ">": "$>$"},
        "[": "{[}",  # at the start of a row it would be an argument of the line break before it
    }
)

TABLE = r"""\begin{{table}}
\centering
\caption{{{caption}}}
\scriptsize
\setlength{{\tabcolsep}}{{1.5pt}}
\label{{tab:{label}}}
\begin{{tabular}}{{@{{}}{columns}@{{}}}}
\toprule
{head} \\
\midrule
{body}
\bottomrule
\end{{tabular}}
\end{{table}}
"""


def write_latex(ablation: Ablation) -> str:
    """Return a table per metric, after a two-way table if there are two factors.

    The document needs the packages booktabs and fontenc (T1); characters outside of T1 are printed as `?`.
    """
    tables = []
    if (grid := cross_tabulate(ablation)) and len(grid[0]) <= MAX_COLUMNS and len(grid[1]) <= MAX_LINES:
        caption = f"{ablation.metric}, mean ± sample standard deviation over seeds."
        caption += f" {describe_conditions(ablation.results.details)}"
        tables.append(_render_table(ablation, *grid, caption, f"{ablation.metric} two-way"))
    variants = ablation.select_variants(MAX_LINES)
    left_out = LEFT_OUT if len(ablation.factors) > 1 else LEFT_OUT[:-1]
    for metric in ablation.metrics:
        table = build_table(ablation, metric, variants)
        columns = [column for column in table.columns if column.heading not in left_out]
        caption = f"{metric}. {write_caption(ablation, columns)} {BOLD}"
        if len(variants) < len(ablation.variants):
            caption += f" Shown are {len(variants)} of {len(ablation.variants)} variants: baselines and the best."
        places = [place for place, heading in enumerate(table.headings) if heading not in left_out]
        headings, *rows = ([row[place] for place in places] for row in [table.headings, *table.text])
        tables.append(_render_table(ablation, headings, rows, caption, metric, table.best))
    return "\n".join(tables) or f"% {escape_latex(ablation.headline)}\n"


def escape_latex(text: str) -> str:
    """Return LaTeX that prints the text literally, in one line."""
    return re.sub("[^\0-\u017f]", "?", " ".join(text.split()).translate(SPECIAL))


def _render_table(
    ablation: Ablation, headings: list[str], rows: list[list[str]], caption: str, label: str, best: Sequence[int] = ()
) -> str:
    """Render rows of text; the means of the `best` rows are bold."""
    head, *body = ([escape_latex(cell) for cell in row] for row in (headings, *rows))
    for row in best:
        body[row][headings.index(MEAN)] = rf"\textbf{{{body[row][headings.index(MEAN)]}}}"
    return TABLE.format(
        caption=escape_latex(f"{ablation.title}: {caption}"),
        label=re.sub("[^A-Za-z0-9]", "-", f"{ablation.title} {label}"),
        columns="l" * len(head),
        head=" & ".join(head),
        body="\n".join(rf"{' & '.join(row)} \\" for row in body),
    )
