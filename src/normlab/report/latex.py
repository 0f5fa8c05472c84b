"""`table.tex`: booktabs tables to include in a paper."""

import re

import pandas as pd

from normlab.report.ablation import Ablation
from normlab.report.columns import MEAN
from normlab.report.markdown import BOLD
from normlab.report.tables import build_table, cross_tabulate, describe_conditions, write_caption

MAX_LINES = 40
"""Lines that fit a page."""
MAX_COLUMNS = 8
LEFT_OUT = ("success rate", "steps to threshold", "better in", "95 % interval")
"""Columns for which a page is too narrow, the last if there are several factors."""
SPECIAL = str.maketrans(
    {
        **{letter: f"\\{letter}" for letter in "&%$#_{}"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        **{"±": r"$\pm$", "−": "$-$", "–": "--", "×": r"$\times$", "<": "$<$", ">": "$>$"},
        "[": "{[}",  # at the start of a row it would be an argument of the line break before it
    }
)


def write_latex(ablation: Ablation) -> str:
    """Return a table per metric, after a two-way table if there are two factors.

    The document needs the packages booktabs and fontenc (T1); characters outside of T1 are printed as `?`.
    """
    tables = []
    grid = cross_tabulate(ablation)
    if grid is not None and grid.shape[0] <= MAX_LINES and grid.shape[1] <= MAX_COLUMNS:
        caption = f"{ablation.metric}, mean ± sample standard deviation over seeds."
        caption += f" {describe_conditions(ablation.results.details)}"
        grid = grid.rename_axis(index=f"{grid.index.name} / {grid.columns.name}").reset_index()
        tables.append(_render_table(ablation, grid, caption, f"{ablation.metric} two-way"))
    variants = ablation.select_variants(MAX_LINES)
    left_out = LEFT_OUT[: 3 + (len(ablation.factors) > 1)]
    for metric in ablation.metrics:
        table = build_table(ablation, metric, variants)
        columns = [column for column in table.columns if column.heading not in left_out]
        caption = f"{metric}. {write_caption(ablation, columns)} {BOLD}"
        if len(variants) < len(ablation.variants):
            caption += f" Shown are {len(variants)} of {len(ablation.variants)} variants: baselines and the best."
        frame = pd.DataFrame(table.text, columns=table.headings).drop(columns=[*left_out], errors="ignore")
        tables.append(_render_table(ablation, frame, caption, metric, table.best))
    return "\n".join(tables) or f"% {escape_latex(ablation.headline)}\n"


def escape_latex(text: object) -> str:
    """Return LaTeX that prints the text literally, in one line."""
    return re.sub("[^\0-\u017f]", "?", " ".join(str(text).split()).translate(SPECIAL))


def _render_table(
    ablation: Ablation, frame: pd.DataFrame, caption: str, label: str, best: list[int] | None = None
) -> str:
    """Render a frame of text; the means of the `best` rows are bold."""
    style = frame.style.format(escape_latex).format_index(escape_latex, axis=1).hide(axis=0)
    if best:
        style.set_properties(subset=(best, [MEAN]), textbf="--rwrap")
    tight = r":{\tabcolsep}{1.5pt};"
    style.set_table_styles([{"selector": "scriptsize", "props": ":;"}, {"selector": "setlength", "props": tight}])
    return style.to_latex(
        hrules=True,
        column_format=f"@{{}}{'l' * frame.shape[1]}@{{}}",
        caption=escape_latex(f"{ablation.title}: {caption}"),
        label="tab:" + re.sub("[^A-Za-z0-9]", "-", f"{ablation.title} {label}"),
        position_float="centering",
    )
