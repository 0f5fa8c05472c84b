"""All figures of an ablation, in the order in which the report shows them."""

import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from normlab.report.ablation import Ablation
from normlab.report.figures.curves import draw_curves
from normlab.report.figures.drawing import Drawing, Figure, save, use_style
from normlab.report.figures.finals import draw_finals
from normlab.report.figures.heatmap import draw_heatmap
from normlab.report.figures.normalizer_inputs import draw_normalizer_inputs
from normlab.report.figures.preprocessing import draw_preprocessing
from normlab.report.figures.running_statistics import draw_running_statistics
from normlab.report.figures.selection import Selection, select
from normlab.report.figures.sensitivity import draw_sensitivity

FIGURES: tuple[Callable[[Ablation, Selection], Iterator[Drawing]], ...] = (
    draw_curves,
    draw_finals,
    draw_heatmap,
    draw_sensitivity,
    draw_preprocessing,
    draw_normalizer_inputs,
    draw_running_statistics,
)
"""Functions that draw nothing if their data are missing. An experiment names its own under `report.figures`."""


def draw(ablation: Ablation, directory: Path) -> list[Figure]:
    """Write `<name>.png` and `<name>.svg` of every figure for which there are data; return them in reading order.

    Raises:
        OSError: a file cannot be written. Unusual data raise nothing.
    """
    figures: list[Figure] = []
    with use_style():
        for canvas, figure in _draw_all(ablation):
            figure = replace(figure, name=_create_stem(figure.name, {other.name for other in figures}))
            save(canvas, directory, figure.name)
            figures.append(figure)
    return figures


def _draw_all(ablation: Ablation) -> Iterator[Drawing]:
    """Draw the figures lazily, so that only one is held in memory."""
    selection = select(ablation)
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
    stem = unique = re.sub(r"[^\w.=-]", "_", name)[:100]
    number = 1
    while unique in taken:
        number += 1
        unique = f"{stem}_{number}"
    return unique
