"""All figures that an ablation's runs give, in the order in which a report shows them."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from normlab.report.ablation import Ablation
from normlab.report.figures.curves import curves
from normlab.report.figures.drawing import Drawn, Figure, save, style
from normlab.report.figures.finals import finals
from normlab.report.figures.heatmap import heatmap
from normlab.report.figures.layers import watch
from normlab.report.figures.normalizer_inputs import normalizer_inputs
from normlab.report.figures.preprocessing import preprocessing
from normlab.report.figures.running_statistics import running_statistics
from normlab.report.figures.selection import select
from normlab.report.figures.sensitivity import sensitivity


def draw(ablation: Ablation, directory: Path) -> list[Figure]:
    """Write `<name>.png` and `<name>.svg` of every figure that the data give; return them in reading order.

    Raises:
        OSError: where a file cannot be written. Nothing in the data raises.
    """
    figures: list[Figure] = []
    with style():
        for canvas, figure in _drawn(ablation):
            figure = replace(figure, name=_file_stem(figure.name, {other.name for other in figures}))
            save(canvas, directory, figure.name)
            figures.append(figure)
    return figures


def _drawn(ablation: Ablation) -> Iterator[Drawn]:
    """Draw one after the other, so that only one is held in memory."""
    selection = select(ablation)
    yield from curves(ablation, selection)
    yield from finals(ablation, selection)
    yield from heatmap(ablation)
    yield from sensitivity(ablation)
    yield from preprocessing(ablation)
    watched = watch(selection)
    yield from normalizer_inputs(watched, selection)
    yield from running_statistics(watched, selection)


def _file_stem(name: str, taken: set[str]) -> str:
    """Return a name that every file system takes and no other figure has."""
    stem = found = re.sub(r"[^\w.=-]", "_", name)[:100]
    number = 1
    while found in taken:
        number += 1
        found = f"{stem}_{number}"
    return found
