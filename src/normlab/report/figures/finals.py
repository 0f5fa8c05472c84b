"""Final values: a dot for each seed, with the mean, its interval and the published value."""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from normlab.report.ablation import Ablation, Variant
from normlab.report.figures import drawing
from normlab.report.figures.selection import Selection, get_published_value, get_summary
from normlab.report.statistics import Summary

GREY = drawing.GREY
GOLDEN_RATIO = 0.6180339887
"""Its multiples modulo 1 fill the unit interval evenly for any count, which gives a deterministic jitter."""


def draw_finals(ablation: Ablation, selection: Selection) -> Iterator[drawing.Drawing]:
    """Draw each final metric, the main metric of the report first."""
    for metric in ablation.metrics:
        if any(get_summary(variant, metric) for variant in selection.variants):
            yield _draw(metric, selection)


def _draw(metric: str, selection: Selection) -> drawing.Drawing:
    summaries = {variant.name: get_summary(variant, metric) for variant in selection.variants}
    known = [summary for summary in summaries.values() if summary is not None]
    names = [drawing.wrap_name(selection.names[name], 1.15) for name in summaries]
    heights = [max(0.36, 0.13 * (name.count("\n") + 1.4)) for name in names]
    figure = drawing.create_canvas(drawing.SINGLE, sum(heights) + 0.45)
    axes = figure.subplots()
    places = np.cumsum([0, *heights])[:-1] + np.array(heights) / 2
    for variant, place in zip(selection.variants, places, strict=True):
        _draw_row(axes, variant, metric, float(place), selection.styles[variant.name].colour)
    axes.set_yticks(places, names)
    axes.set_ylim(sum(heights), 0)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.04)
    if math.isclose(*axes.get_xlim(), rel_tol=1e-9, abs_tol=1e-12):
        axes.set_xlim(axes.get_xlim()[0] - 0.5, axes.get_xlim()[1] + 0.5)
    drawing.set_value_ticks(axes.xaxis)
    axes.set_xlabel(drawing.wrap_name(metric, 2))
    axes.set_ylabel(drawing.wrap_name(selection.factors, sum(heights)))
    has_published = any(math.isfinite(get_published_value(variant, metric)) for variant in selection.variants)
    drawing.add_legend(
        figure, *_create_key(has_published, any(math.isfinite(summary.interval.low) for summary in known))
    )
    numbers = {name: (s.mean, s.interval.low, s.interval.high) if s else () for name, s in summaries.items()}
    return figure, drawing.Figure(
        name=f"final_{metric}",
        title=f"Final {metric}",
        caption=_compose_caption(metric, known, has_published) + selection.remark,
        alternative=drawing.describe_numbers(f"Final {metric}, mean and ends of its 95 % interval", numbers),
    )


def _draw_row(axes: Axes, variant: Variant, metric: str, place: float, colour: str) -> None:
    """Draw the runs above the middle of a row, and mean, interval and published value below it."""
    summary, published = get_summary(variant, metric), get_published_value(variant, metric)
    below = place + 0.09
    if summary is None:
        axes.text(
            0.02, place, "no result", transform=axes.get_yaxis_transform(), color=GREY, va="center", style="italic"
        )
    else:
        values = np.array([value for _, value in sorted(variant.values(metric).items())])
        jitter = (np.arange(len(values)) * GOLDEN_RATIO + 0.5) % 1 - 0.5
        alpha = max(0.15, min(0.65, 15 / len(values)))
        axes.scatter(values, place - 0.07 + 0.12 * jitter, s=7, color=colour, alpha=alpha, linewidth=0, zorder=3)
        ends = [summary.interval.low, summary.interval.high]
        axes.plot(ends, [below, below], color=colour, lw=2.2, alpha=0.45, zorder=2)
        axes.plot([summary.mean], [below], "|", markersize=6, mew=1.4, color=colour, zorder=4)
    if math.isfinite(published):
        axes.plot([published], [below], "D", markersize=3.4, mfc="white", mec=colour, mew=0.8, zorder=5)


def _create_key(has_published: bool, has_intervals: bool) -> tuple[list[Line2D], list[str]]:
    """Return handles and names for the legend."""
    line: Literal["-", ""] = "-" if has_intervals else ""
    key = {
        "run": Line2D([], [], linestyle="", marker="o", markersize=2.6, color=GREY),
        "mean, 95 % interval" if has_intervals else "mean": Line2D(
            [], [], color=f"{GREY}80", linestyle=line, lw=2.2, marker="|", markersize=6, mew=1.4, mec=GREY
        ),
    }
    if has_published:
        key["published"] = Line2D([], [], linestyle="", marker="D", markersize=3.4, mfc="white", mec=GREY, mew=0.8)
    return list(key.values()), list(key)


def _compose_caption(metric: str, known: Sequence[Summary], has_published: bool) -> str:
    interval = drawing.describe_intervals(summary.interval for summary in known)
    counts = drawing.describe_counts([summary.n for summary in known])
    caption = f"{metric} at the end of training: a dot for each seed, {counts}; the mean{interval}."
    if has_published:
        caption += " Diamonds: published figures, which are single runs by the original author."
    return caption
