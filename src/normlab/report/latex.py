"""`table.tex`: one booktabs table for a paper, which takes it in with its `input` command."""

from normlab.report.ablation import Ablation
from normlab.report.conditions import conditions_in_words
from normlab.report.ranking import that_fit
from normlab.report.tables import HEADINGS, caption, lines_of, two_way

MOST_LINES = 40
"""What a page holds, over all metrics; of more variants the baselines and the best are shown."""
SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "<": r"$<$",
    ">": r"$>$",
    "×": r"$\times$",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # behind the end of a row it would be taken for an argument
}


def latex(ablation: Ablation) -> str:
    """Return the table of all metrics, with the two-way one before it where two factors vary.

    The document needs the packages booktabs and fontenc (T1); letters that these do not have stand as `?`.
    """
    metrics = ablation.metrics
    variants = that_fit(ablation, max(4, MOST_LINES // max(1, len(metrics))))
    told = caption(ablation)
    if len(variants) < len(ablation.variants):
        told += f" Shown are {len(variants)} of {len(ablation.variants)} variants: baselines and the best."
    rows = []
    for metric in metrics:
        rows += [r"\midrule", rf"\multicolumn{{{len(HEADINGS)}}}{{l}}{{\textit{{{escaped(metric)}}}}} \\"]
        for line in lines_of(ablation, metric, variants):
            cells = [escaped(cell) for cell in line.cells]
            cells[2] = rf"\textbf{{{cells[2]}}}" if line.is_best else cells[2]
            cells[4] += r"$^{*}$" * line.is_significant
            rows.append(" & ".join(cells) + r" \\")
    heads = " & ".join(map(escaped, HEADINGS)) + r" \\"
    name = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in ablation.title)
    tables = [*_two_way(ablation, name), *_table("lrlllll", [heads, *rows], f"{ablation.title}. {told}", name)]
    return "\n".join(tables) + "\n"


def escaped(text: str) -> str:
    """Return text as LaTeX prints it, whatever it holds."""
    found = "".join(SPECIAL.get(letter, letter) for letter in " ".join(text.split()))
    return "".join(letter if ord(letter) < 0x180 else "?" for letter in found)


def _two_way(ablation: Ablation, name: str) -> list[str]:
    grid = two_way(ablation)
    if grid is None or grid.shape[1] > 8 or grid.shape[0] > MOST_LINES:
        return []
    corner = f"{grid.index.name} / {grid.columns.name}"
    rows = [[corner, *map(str, grid.columns)], *([str(row), *grid.loc[row]] for row in grid.index)]
    lines = [" & ".join(map(escaped, row)) + r" \\" for row in rows]
    told = f"{ablation.title}: {ablation.metric}, mean ± sample standard deviation over seeds."
    told += f" {conditions_in_words(ablation.results.details)}"
    return [*_table("l" * len(rows[0]), [lines[0], r"\midrule", *lines[1:]], told, f"{name}-two-way"), ""]


def _table(columns: str, lines: list[str], told: str, name: str) -> list[str]:
    return [
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escaped(told)}}}",
        rf"\label{{tab:{name}}}",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        *lines,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
