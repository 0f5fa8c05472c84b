"""How the distribution of what enters a normalizer moves in training, as in Ioffe and Szegedy (2015), figure 1."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes

from normlab.report.figures.drawing import (
    DOUBLE,
    SINGLE,
    Drawn,
    Figure,
    Look,
    canvas,
    count_axis,
    lines_of,
    told,
    value_axis,
)
from normlab.report.figures.layers import Watched, columns_of, layers_of, seeds_in_words
from normlab.report.figures.selection import Selection

LOW, MIDDLE, HIGH = QUANTITIES = ("input_p15", "input_p50", "input_p85")
UNLIKE = 20.0
"""Ratio of spans beyond which the panels of a row have an axis each: on one, the narrower would be a flat line."""


def normalizer_inputs(watched: Sequence[Watched], selection: Selection) -> Iterator[Drawn]:
    """Draw a column for each variant and a row for each layer."""
    columns = columns_of(watched, QUANTITIES, selection)
    if columns:
        yield _draw(columns, layers_of(columns, QUANTITIES), selection)


def _draw(columns: Sequence[Watched], layers: Sequence[str], selection: Selection) -> Drawn:
    width = SINGLE if len(columns) == 1 else DOUBLE
    figure = canvas(width, 0.55 + 1.0 * len(layers))
    panels = figure.subplots(len(layers), len(columns), squeeze=False, sharex=True)
    for layer, row in zip(layers, panels, strict=True):
        for watched, axes in zip(columns, row, strict=True):
            _panel(axes, watched, layer, selection.looks[watched.variant.name])
        _share(row.tolist())
        row[0].set_ylabel(lines_of(layer, 0.95, most=2))
    for watched, axes in zip(columns, panels[0], strict=True):
        axes.set_title(lines_of(watched.variant.name, (width - 0.5) / len(columns) - 0.15))
    figure.align_ylabels()
    figure.supxlabel("updates")
    figure.supylabel("input of the normalizer")
    more = selection.remark and f" {len(columns)} of these variants have a column."
    return figure, Figure(
        name="normalizer_inputs",
        title="What normalizers are given",
        caption=(
            f"15th, 50th (thick) and 85th percentile of what enters normalizers, over updates; one run each, "
            f"{seeds_in_words(columns)}, so there is no interval. Panels of a row share their scale unless their "
            f"ranges differ by more than {UNLIKE:.0f}-fold.{more}"
        ),
        alternative="At the last update, 15th, 50th and 85th percentile: "
        + "; ".join(_words(watched, layer) for watched in columns for layer in layers if _words(watched, layer))
        + ".",
    )


def _panel(axes: Axes, watched: Watched, layer: str, look: Look) -> None:
    found = {
        quantity: watched.points[layer, quantity] for quantity in QUANTITIES if (layer, quantity) in watched.points
    }
    for quantity, (steps, values) in found.items():
        is_middle = quantity == MIDDLE
        marker = "." if len(steps) == 1 else None
        axes.plot(steps, values, color=look.colour, linewidth=1.2 if is_middle else 0.6, marker=marker)
    if LOW in found and HIGH in found:
        steps, low, high = np.intersect1d(found[LOW][0], found[HIGH][0], return_indices=True)
        axes.fill_between(steps, found[LOW][1][low], found[HIGH][1][high], color=look.colour, alpha=0.15, linewidth=0)
    if not found:
        axes.text(0.5, 0.5, "not observed", transform=axes.transAxes, ha="center", va="center", color="#555555")
    axes.margins(x=0.02)
    count_axis(axes.xaxis, 4)
    value_axis(axes.yaxis, 4)


def _share(row: Sequence[Axes]) -> None:
    """Give the panels of a row one scale where that leaves each of them legible."""
    limits = np.array([axes.get_ylim() for axes in row if axes.lines])
    if not len(limits):
        return
    spans = limits[:, 1] - limits[:, 0]
    if spans.max() > UNLIKE * spans.min():
        return
    for axes in row:
        axes.set_ylim(limits[:, 0].min(), limits[:, 1].max())
        axes.tick_params(labelleft=axes is row[0])


def _words(watched: Watched, layer: str) -> str:
    ends = [watched.points[layer, quantity][1][-1] for quantity in QUANTITIES if (layer, quantity) in watched.points]
    return f"{watched.variant.name}, {layer}: {', '.join(map(told, ends))}" if ends else ""
