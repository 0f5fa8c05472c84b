"""All figures of an ablation, in the order in which the report shows them."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from normlab.report.ablation import Ablation
from normlab.report.figures.curves import draw_curves
from normlab.report.figures.drawing import Drawing, Figure, save, use_style
from normlab.report.figures.finals import draw_finals
from normlab.report.figures.heatmap import draw_heatmap
from normlab.report.figures.layers import read_observations
from normlab.report.figures.normalizer_inputs import draw_normalizer_inputs
from normlab.report.figures.preprocessing import draw_preprocessing
from normlab.report.figures.running_statistics import draw_running_statistics
from normlab.report.figures.selection import select
from normlab.report.figures.sensitivity import draw_sensitivity


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
    yield from draw_curves(ablation, selection)
    yield from draw_finals(ablation, selection)
    yield from draw_heatmap(ablation)
    yield from draw_sensitivity(ablation)
    yield from draw_preprocessing(ablation)
    observations = read_observations(selection)
    yield from draw_normalizer_inputs(observations, selection)
    yield from draw_running_statistics(observations, selection)


def _create_stem(name: str, taken: set[str]) -> str:
    """Return a file name without suffix that is valid on all systems and not taken."""
    stem = unique = re.sub(r"[^\w.=-]", "_", name)[:100]
    number = 1
    while unique in taken:
        number += 1
        unique = f"{stem}_{number}"
    return unique
