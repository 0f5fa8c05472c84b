"""`table.tex`: a booktabs table to include in a paper."""

import re

import pandas as pd
from pandas.io.formats.style import Styler

from normlab.report.ablation import Ablation
from normlab.report.markdown import BOLD
from normlab.report.tables import build_table, cross_tabulate, describe_conditions, write_caption

MAX_LINES = 40
"""Lines that fit a page, over all metrics."""
MAX_COLUMNS = 8
LEFT_OUT = ("better in", "95 % interval")
"""Columns for which a page is too narrow, the second if there are several factors."""
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
    caption = f"{ablation.title}. {write_caption(ablation)} {BOLD}"
    if len(variants) < len(ablation.variants):
        caption += f" Shown are {len(variants)} of {len(ablation.variants)} variants: baselines and the best."
    rows: list[list[str]] = []
    titles, best = [], []
    tables = [build_table(ablation, metric, variants) for metric in ablation.metrics]
    # Metrics may have different columns, such as a published figure for one alone.
    headings = list(dict.fromkeys(heading for table in tables for heading in table.headings)) or ["variant"]
    for table in tables:
        titles.append(len(rows))
        rows.append([table.metric, *[""] * (len(headings) - 1)])
        for cells, row in zip(table.text, table.rows, strict=True):
            best += [len(rows)] * row.is_best
            known = dict(zip(table.headings, cells, strict=True))
            rows.append([known.get(heading, "") for heading in headings])
    style = (
        pd.DataFrame(rows, columns=headings)
        .drop(columns=[*LEFT_OUT[: 1 + (len(ablation.factors) > 1)]], errors="ignore")
        .style
    )
    style.set_properties(subset=(titles, headings[:1]), textit="--rwrap", rlap="--rwrap")
    if best:
        style.set_properties(subset=(best, ["mean ± sd"]), textbf="--rwrap")
    label = re.sub("[^A-Za-z0-9]", "-", ablation.title)
    text = _render_table(style, caption, label)
    grid = cross_tabulate(ablation)
    if grid is None or grid.shape[0] > MAX_LINES or grid.shape[1] > MAX_COLUMNS:
        return text
    caption = f"{ablation.title}: {ablation.metric}, mean ± sample standard deviation over seeds."
    caption += f" {describe_conditions(ablation.results.details)}"
    grid = grid.rename_axis(index=f"{grid.index.name} / {grid.columns.name}").reset_index()
    return f"{_render_table(grid.style, caption, f'{label}-two-way')}\n{text}"


def escape_latex(text: object) -> str:
    """Return LaTeX that prints the text literally, in one line."""
    return re.sub("[^\0-\u017f]", "?", " ".join(str(text).split()).translate(SPECIAL))


def _render_table(style: Styler, caption: str, label: str) -> str:
    style.format(escape_latex).format_index(escape_latex, axis=1).hide(axis=0)
    tight = r":{\tabcolsep}{1.5pt};"
    style.set_table_styles([{"selector": "scriptsize", "props": ":;"}, {"selector": "setlength", "props": tight}])
    return style.to_latex(
        hrules=True,
        column_format=f"@{{}}{'l' * len(style.columns)}@{{}}",
        caption=escape_latex(caption),
        label=f"tab:{label}",
        position_float="centering",
    )
