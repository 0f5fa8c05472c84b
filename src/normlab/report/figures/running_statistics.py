"""How far the running averages that inference uses are from the statistics of the population."""

from collections.abc import Iterator, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from normlab.report.figures.drawing import (
    DOUBLE,
    LINES,
    MARKERS,
    SINGLE,
    SMALLEST,
    Drawn,
    Figure,
    Look,
    canvas,
    count_axis,
    legend,
    line_handle,
    lines_of,
    logarithmic_axis,
    told,
    value_axis,
)
from normlab.report.figures.layers import Points, Watched, columns_of, layers_of, seeds_in_words
from normlab.report.figures.selection import Selection

RATIO, OFFSET = QUANTITIES = ("variance_ratio", "mean_offset")


def running_statistics(watched: Sequence[Watched], selection: Selection) -> Iterator[Drawn]:
    """Draw a column for each variant that keeps running averages: their variances above, their means below."""
    columns = columns_of(watched, QUANTITIES, selection)
    if columns:
        yield _draw(columns, layers_of(columns, QUANTITIES), selection)


def _draw(columns: Sequence[Watched], layers: Sequence[str], selection: Selection) -> Drawn:
    width = SINGLE if len(columns) == 1 else DOUBLE
    figure = canvas(width, 2.9)
    panels = figure.subplots(2, len(columns), squeeze=False, sharex=True, sharey="row")
    looks = _looks(len(layers))
    for watched, (ratio, offset) in zip(columns, panels.T, strict=True):
        for layer, look in zip(layers, looks, strict=True):
            _line(ratio, watched.points.get((layer, RATIO)), look, positive=True)
            _line(offset, watched.points.get((layer, OFFSET)), look)
        for axes, goal in ((ratio, 1), (offset, 0)):
            axes.axhline(goal, color="#666666", linewidth=0.7, zorder=1)
            axes.margins(x=0.02)
            count_axis(axes.xaxis, 4)
        ratio.set_title(lines_of(watched.variant.name, (width - 0.5) / len(columns) - 0.15))
    _logarithmic(panels[0])
    value_axis(panels[1, 0].yaxis, 5)
    panels[0, 0].set_ylabel("running variance /\npopulation's")
    panels[1, 0].set_ylabel("distance of means\n(std. deviations)")
    figure.align_ylabels()
    figure.supxlabel("updates")
    legend(figure, [line_handle(look) for look in looks], list(layers))
    return figure, Figure(
        name="running_statistics",
        title="How far running averages lag behind",
        caption=_caption(columns, selection),
        alternative="At the last update: "
        + "; ".join(_words(watched, layer) for watched in columns for layer in layers if _words(watched, layer))
        + ".",
    )


def _looks(count: int) -> list[Look]:
    """Return looks from dark to light, first layer to last; the colours of variants would say something else."""
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.8, count))
    return [Look(to_hex(shade), LINES[place], MARKERS[place]) for place, shade in enumerate(shades)]


def _line(axes: Axes, points: Points | None, look: Look, positive: bool = False) -> None:
    if points is None:
        return
    steps, values = points
    if positive:
        steps, values = steps[values > SMALLEST], values[values > SMALLEST]
    marker = "." if len(steps) == 1 else None
    axes.plot(steps, values, color=look.colour, linestyle=look.line, marker=marker, zorder=2)


def _logarithmic(row: Sequence[Axes]) -> None:
    values = np.concatenate([[1.0], *(np.asarray(line.get_ydata()) for axes in row for line in axes.lines)])
    low, high = min(values.min(), 1 / 1.1), max(values.max(), 1.1)
    margin = (high / low) ** 0.06
    for axes in row:
        axes.set_yscale("log")
        axes.set_ylim(low / margin, high * margin)
    logarithmic_axis(row[0].yaxis, low, high)


def _caption(columns: Sequence[Watched], selection: Selection) -> str:
    caption = (
        "Running averages of normalizers against the population, a sample of 1,000 training images passed through in "
        "training mode. Above: running variance over that of the population, geometric mean over features; below: root "
        "mean square distance of the running mean, in standard deviations of the population. Inference uses running "
        "averages: until the lines reach 1 and 0 it sees other activations than training does, and lags behind it. "
        f"One run each, {seeds_in_words(columns)}, so there is no interval."
    )
    return caption + (f" {len(columns)} of these variants have a column." if selection.remark else "")


def _words(watched: Watched, layer: str) -> str:
    names = {RATIO: "variance ratio", OFFSET: "mean offset"}
    ends = [
        f"{name} {told(watched.points[layer, quantity][1][-1])}"
        for quantity, name in names.items()
        if (layer, quantity) in watched.points
    ]
    return f"{watched.variant.name}, {layer}: {', '.join(ends)}" if ends else ""
