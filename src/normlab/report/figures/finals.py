"""Final values: a dot for each seed, with the mean, its interval and the published value."""

import math
from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from normlab.report.ablation import Ablation
from normlab.report.figures import drawing
from normlab.report.figures.selection import Selection, get_published_value
from normlab.report.statistics import MIN_INTERVAL_SIZE

GOLDEN_RATIO = 0.6180339887
"""Its multiples modulo 1 fill the unit interval evenly for any count, which gives a deterministic jitter."""


def draw_finals(ablation: Ablation, selection: Selection) -> Iterator[drawing.Drawing]:
    """Draw each final metric, the main metric of the report first."""
    for metric in ablation.metrics:
        summaries = {variant.name: variant.cells[metric].summary for variant in selection.variants}
        counts = [summary.n for summary in summaries.values() if summary]
        if counts:
            numbers = {name: (s.mean, s.interval.low, s.interval.high) if s else () for name, s in summaries.items()}
            caption = f"{drawing.describe_means(counts)} Dots: single runs."
            canvas = _draw(metric, selection, has_intervals=max(counts) >= MIN_INTERVAL_SIZE)
            yield drawing.Drawing(canvas, f"final_{metric}", f"Final {metric}", caption, numbers)


def _draw(metric: str, selection: Selection, has_intervals: bool) -> Canvas:
    count = len(selection.variants)
    height = count * (0.36 if count <= 8 else 0.24)
    canvas = drawing.create_canvas(drawing.SINGLE, height + 0.45)
    axes = canvas.subplots()
    _draw_rows(axes, metric, selection)
    names = [drawing.wrap_name(selection.names[variant.name], 1.15, 2) for variant in selection.variants]
    axes.set_yticks(range(count), names)
    axes.set(ylim=(count - 0.5, -0.5), xlabel=drawing.wrap_name(metric, 2))
    axes.set_ylabel(drawing.wrap_name(selection.factors, height))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.locator_params(axis="x", nbins=5)
    grey, handles = drawing.GREY, {"run": drawing.create_marker("o", ms=2.6, mfc=drawing.GREY)}
    if has_intervals:
        handles["mean, 95 % interval"] = Line2D([], [], color=f"{grey}80", lw=2.2, marker="|", ms=6, mew=1.4, mec=grey)
    else:
        handles["mean"] = drawing.create_marker("|", ms=6, mew=1.4)
    if any(math.isfinite(get_published_value(variant, metric)) for variant in selection.variants):
        handles["published"] = drawing.create_marker("D")
    drawing.add_legend(canvas, handles)
    return canvas


def _draw_rows(axes: Axes, metric: str, selection: Selection) -> None:
    """Draw the runs above the middle of each row, and mean, interval and published value below it."""
    colours = np.array([selection.styles[variant.name].colour for variant in selection.variants])
    for place, (variant, colour) in enumerate(zip(selection.variants, colours, strict=True)):
        values = np.array([value for _, value in sorted(variant.values(metric).items())])
        heights = place - 0.2 + 0.33 * ((np.arange(len(values)) * GOLDEN_RATIO + 0.5) % 1 - 0.5)
        alpha = max(0.15, min(0.65, 15 / max(1, len(values))))
        axes.plot(values, heights, "o", ms=2.65, mew=0, color=colour, alpha=alpha, zorder=3)
        if not len(values):
            where = axes.get_yaxis_transform()
            axes.text(0.02, place, "no result", transform=where, color=drawing.GREY, va="center", style="italic")
    summaries = [variant.cells[metric].summary for variant in selection.variants]
    mean, low, high = np.array([(s.mean, *s.interval) if s else (math.nan,) * 3 for s in summaries]).T
    below, known = np.arange(len(summaries)) + 0.25, np.isfinite(low)
    axes.hlines(below[known], low[known], high[known], colors=colours[known], linewidth=2.2, alpha=0.45)
    axes.scatter(mean, below, s=36, marker="|", color=colours, linewidth=1.4, zorder=4)
    published = [get_published_value(variant, metric) for variant in selection.variants]
    axes.scatter(published, below, s=11.6, marker="D", color="white", edgecolor=colours, linewidth=0.8, zorder=5)
