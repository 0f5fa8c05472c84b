"""Figures of a report; `draw` writes all of them."""

import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from normlab.report.ablation import Ablation
from normlab.report.figures.curves import draw_curves
from normlab.report.figures.drawing import Drawing, Figure, save, use_style
from normlab.report.figures.factors import draw_heatmap, draw_sensitivity
from normlab.report.figures.finals import draw_finals
from normlab.report.figures.layers import draw_layers
from normlab.report.figures.preprocessing import draw_preprocessing
from normlab.report.figures.selection import Selection, select

FIGURES: tuple[Callable[[Ablation, Selection], Iterator[Drawing]], ...] = (
    draw_curves,
    draw_finals,
    draw_heatmap,
    draw_sensitivity,
    draw_preprocessing,
    draw_layers,
)
"""Functions that draw nothing if their data are missing. An experiment names its own under `report.figures`."""


def draw(ablation: Ablation, directory: Path) -> list[Figure]:
    """Write every figure for which there are data, and return all in reading order. Raises OSError."""
    figures: list[Figure] = []
    with use_style():
        for drawing in _draw_all(ablation):
            name = _create_stem(drawing.name, {figure.name for figure in figures})
            save(drawing.canvas, directory, name)
            figures.append(Figure(name, drawing.title, drawing.caption, drawing.describe()))
    return figures


def _draw_all(ablation: Ablation) -> Iterator[Drawing]:
    """Draw the figures lazily, so that only one is held in memory."""
    selection = select(ablation)
    shown, total = len(selection.variants), len(ablation.variants)
    if shown < total:
        ablation.notes.append(
            f"Figures show {shown} of {total} variants: the baseline and the best by {ablation.metric}."
        )
    for function in FIGURES:
        yield from function(ablation, selection)
    reports = [run.config.get("report") or {} for run in ablation.results.details]
    for name in dict.fromkeys(name for report in reports for name in report.get("figures") or ()):
        try:
            yield from pkgutil.resolve_name(name)(ablation, selection)
        except Exception as error:  # of a user's own code
            ablation.notes.append(f"The figure {name} is left out: {type(error).__name__}: {error}")


def _create_stem(name: str, taken: set[str]) -> str:
    """Return a file name without suffix that is valid on all systems and not taken."""
    stem = re.sub(r"[^\w.=-]", "_", name)[:100]
    while stem in taken:
        stem += "_"
    return stem
