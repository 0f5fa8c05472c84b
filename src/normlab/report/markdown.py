"""`table.md`: a table of each metric for a README or an issue."""

from collections.abc import Sequence

from normlab.report.ablation import Ablation
from normlab.report.tables import HEADINGS, caption, lines_of, two_way


def markdown(ablation: Ablation) -> str:
    """Return headline, notes and tables, the two-way one first where two factors vary."""
    parts = [f"# {_plain(ablation.title)}", _plain(ablation.headline)]
    if ablation.notes:
        parts.append("\n".join(f"- {_plain(note)}" for note in ablation.notes))
    grid = two_way(ablation)
    if grid is not None:
        corner = f"{grid.index.name} \\ {grid.columns.name}"
        rows = [[str(name), *row] for name, row in zip(grid.index, grid.to_numpy().tolist(), strict=True)]
        parts += [f"## {_plain(ablation.metric)}, both factors", _table([corner, *map(str, grid.columns)], rows)]
    for metric in ablation.metrics:
        rows = []
        for line in lines_of(ablation, metric, ablation.variants):
            variant, n, mean, interval, difference, *others = map(_plain, line.cells)
            mean = f"**{mean}**" if line.is_best else mean
            rows.append([variant, n, mean, interval, difference + "\\*" * line.is_significant, *others])
        parts += [f"## {_plain(metric)}", _lines(HEADINGS, rows)]
    return "\n\n".join([*parts, _plain(caption(ablation))]) + "\n"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return _lines([_plain(cell) for cell in headings], [[_plain(cell) for cell in row] for row in rows])


def _lines(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [headings, ["---"] * len(headings), *rows])


def _plain(text: str) -> str:
    """Keep text from being read as borders of cells, HTML, emphasis or code."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{letter}" if letter in "\\|*_`[]" else letter for letter in text)
