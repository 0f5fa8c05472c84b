"""LaTeX tables: `table.tex`, a booktabs table for a paper."""

from normlab.report.ablation import Ablation
from normlab.report.conditions import describe_conditions
from normlab.report.ranking import select_variants
from normlab.report.tables import HEADINGS, cross_tabulate, format_lines, write_caption

MOST_LINES = 40
"""Lines that fit on a page, over all metrics; of more variants the baselines and the best are shown."""
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
    "[": "{[}",  # after the end of a row it would start an argument
}


def write_latex(ablation: Ablation) -> str:
    """Return the table of all metrics, after a two-way table if two factors vary.

    The document needs the packages booktabs and fontenc (T1). Characters that they lack are replaced by `?`.
    """
    metrics = ablation.metrics
    variants = select_variants(ablation, max(4, MOST_LINES // max(1, len(metrics))))
    text = write_caption(ablation)
    if len(variants) < len(ablation.variants):
        text += f" Shown are {len(variants)} of {len(ablation.variants)} variants: baselines and the best."
    rows = []
    for metric in metrics:
        rows += [r"\midrule", rf"\multicolumn{{{len(HEADINGS)}}}{{l}}{{\textit{{{escape_latex(metric)}}}}} \\"]
        for line in format_lines(ablation, metric, variants):
            cells = [escape_latex(cell) for cell in line.cells]
            cells[2] = rf"\textbf{{{cells[2]}}}" if line.is_best else cells[2]
            cells[4] += r"$^{*}$" * line.is_significant
            rows.append(" & ".join(cells) + r" \\")
    heads = " & ".join(map(escape_latex, HEADINGS)) + r" \\"
    name = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in ablation.title)
    tables = [*_two_way(ablation, name), *_table("lrlllll", [heads, *rows], f"{ablation.title}. {text}", name)]
    return "\n".join(tables) + "\n"


def escape_latex(text: str) -> str:
    """Escape text for LaTeX."""
    found = "".join(SPECIAL.get(letter, letter) for letter in " ".join(text.split()))
    return "".join(letter if ord(letter) < 0x180 else "?" for letter in found)


def _two_way(ablation: Ablation, name: str) -> list[str]:
    grid = cross_tabulate(ablation)
    if grid is None or grid.shape[1] > 8 or grid.shape[0] > MOST_LINES:
        return []
    corner = f"{grid.index.name} / {grid.columns.name}"
    rows = [[corner, *map(str, grid.columns)], *([str(row), *grid.loc[row]] for row in grid.index)]
    lines = [" & ".join(map(escape_latex, row)) + r" \\" for row in rows]
    text = f"{ablation.title}: {ablation.metric}, mean ± sample standard deviation over seeds."
    text += f" {describe_conditions(ablation.results.details)}"
    return [*_table("l" * len(rows[0]), [lines[0], r"\midrule", *lines[1:]], text, f"{name}-two-way"), ""]


def _table(columns: str, lines: list[str], caption: str, name: str) -> list[str]:
    return [
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escape_latex(caption)}}}",
        rf"\label{{tab:{name}}}",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        *lines,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
