"""`table.tex`: a booktabs table to include in a paper."""

import re

import pandas as pd
from pandas.io.formats.style import Styler

from normlab.report.ablation import Ablation
from normlab.report.tables import HEADINGS, cross_tabulate, describe_conditions, format_lines, write_caption

MAX_LINES = 40
"""Lines that fit a page, over all metrics."""
MAX_COLUMNS = 8
LEFT_OUT = "better in"
"""Column for which a page is too narrow."""
SPECIAL = str.maketrans(
    {
        **{letter: f"\\{letter}" for letter in "&%$#_{}"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        **{"±": r"$\pm$", "−": "$-$", "–": "--", "×": r"$\times$", "<": "$<$", ">": "$>$"},
        "[": "{[}",  # at the start of a row it would be an argument of the line break before it
    }
)


def write_latex(ablation: Ablation) -> str:
    """Return the table of all metrics, after a two-way table if there are two factors.

    The document needs the packages booktabs and fontenc (T1); characters outside of T1 are printed as `?`.
    """
    variants = ablation.select_variants(max(4, MAX_LINES // max(1, len(ablation.metrics))))
    caption = f"{ablation.title}. {write_caption(ablation)}"
    if len(variants) < len(ablation.variants):
        caption += f" Shown are {len(variants)} of {len(ablation.variants)} variants: baselines and the best."
    rows: list[list[str]] = []
    titles, best = [], []
    for metric in ablation.metrics:
        titles.append(len(rows))
        rows.append([metric, *[""] * (len(HEADINGS) - 1)])
        for line in format_lines(ablation, metric, variants):
            best += [len(rows)] * line.is_best
            rows.append(list(line.cells))
    style = pd.DataFrame(rows, columns=list(HEADINGS)).drop(columns=LEFT_OUT).style
    style.set_properties(subset=(titles, ["variant"]), textit="--rwrap", rlap="--rwrap")
    style.set_properties(subset=(best, ["mean ± sd"]), textbf="--rwrap")
    label = re.sub("[^A-Za-z0-9]", "-", ablation.title)
    table = _render_table(style, caption, label)
    grid = cross_tabulate(ablation)
    if grid is None or grid.shape[0] > MAX_LINES or grid.shape[1] > MAX_COLUMNS:
        return table
    caption = f"{ablation.title}: {ablation.metric}, mean ± sample standard deviation over seeds."
    caption += f" {describe_conditions(ablation.results.details)}"
    grid = grid.rename_axis(index=f"{grid.index.name} / {grid.columns.name}").reset_index()
    return f"{_render_table(grid.style, caption, f'{label}-two-way')}\n{table}"


def escape_latex(text: object) -> str:
    """Return LaTeX that prints the text literally, in one line."""
    return re.sub("[^\0-\u017f]", "?", " ".join(str(text).split()).translate(SPECIAL))


def _render_table(style: Styler, caption: str, label: str) -> str:
    style.format(escape_latex).format_index(escape_latex, axis=1).hide(axis=0)
    tight = r":{\tabcolsep}{2.5pt};"
    style.set_table_styles([{"selector": "scriptsize", "props": ":;"}, {"selector": "setlength", "props": tight}])
    return style.to_latex(
        hrules=True,
        column_format=f"@{{}}{'l' * len(style.columns)}@{{}}",
        caption=escape_latex(caption),
        label=f"tab:{label}",
        position_float="centering",
    )
