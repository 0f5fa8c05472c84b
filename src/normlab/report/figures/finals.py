"""Final values: a dot for every seed, with the mean, its interval and the published value beside them."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from normlab.report.ablation import Ablation, Variant
from normlab.report.figures.drawing import (
    LARGEST,
    SINGLE,
    Drawn,
    Figure,
    Look,
    canvas,
    legend,
    lines_of,
    method_of,
    spread,
    told,
    value_axis,
)
from normlab.report.figures.selection import Selection, published_value
from normlab.report.statistics import Summary

GREY = "#555555"
GOLDEN = 0.6180339887
"""Multiples of it, modulo 1, fill an interval evenly in any number: jitter that is the same every time."""


def finals(ablation: Ablation, selection: Selection) -> Iterator[Drawn]:
    """Draw each final metric, the one that the report judges by first."""
    for metric in ablation.metrics:
        drawn = _draw(metric, selection)
        if drawn is not None:
            yield drawn


def _draw(metric: str, selection: Selection) -> Drawn | None:
    summaries = {variant.name: _summary(variant, metric) for variant in selection.variants}
    known = {name: summary for name, summary in summaries.items() if summary is not None}
    if not known:
        return None
    names = [lines_of(selection.names[variant.name], 1.15) for variant in selection.variants]
    heights = [max(0.36, 0.13 * (name.count("\n") + 1.4)) for name in names]
    figure = canvas(SINGLE, sum(heights) + 0.45)
    axes = figure.subplots()
    places = np.cumsum([0, *heights])[:-1] + np.array(heights) / 2
    for variant, place in zip(selection.variants, places, strict=True):
        _row(axes, variant, metric, float(place), selection.looks[variant.name])
    axes.set_yticks(places, names)
    axes.set_ylim(sum(heights), 0)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.04)
    if math.isclose(*axes.get_xlim(), rel_tol=1e-9, abs_tol=1e-12):
        axes.set_xlim(axes.get_xlim()[0] - 0.5, axes.get_xlim()[1] + 0.5)
    value_axis(axes.xaxis, 6)
    axes.set_xlabel(lines_of(metric, 2))
    axes.set_ylabel(lines_of(selection.factors, sum(heights)))
    has_published = any(math.isfinite(published_value(variant, metric)) for variant in selection.variants)
    legend(figure, *_key(has_published, any(summary.n > 1 for summary in known.values())))
    return figure, Figure(
        name=f"final_{metric}",
        title=f"Final {metric}",
        caption=_caption(metric, list(known.values()), has_published) + selection.remark,
        alternative=f"Final {metric}: {'; '.join(_words(name, summary) for name, summary in summaries.items())}.",
    )


def _summary(variant: Variant, metric: str) -> Summary | None:
    cell = variant.cells.get(metric)
    found = cell.summary if cell else None
    return found if found is not None and abs(found.mean) < LARGEST else None


def _row(axes: Axes, variant: Variant, metric: str, place: float, look: Look) -> None:
    """Draw runs above the middle of a row, and what sums them up below it."""
    summary, published = _summary(variant, metric), published_value(variant, metric)
    if summary is None:
        axes.text(
            0.02, place, "no result", transform=axes.get_yaxis_transform(), color=GREY, va="center", style="italic"
        )
    else:
        values = np.array([value for _, value in sorted(variant.values(metric).items())])
        values = values[np.abs(values) < LARGEST]
        jitter = (np.arange(len(values)) * GOLDEN + 0.5) % 1 - 0.5
        alpha = max(0.15, min(0.65, 15 / len(values)))
        axes.scatter(values, place - 0.07 + 0.12 * jitter, s=7, color=look.colour, alpha=alpha, linewidth=0, zorder=3)
        below, interval = place + 0.09, summary.interval
        if math.isfinite(interval.low + interval.high) and max(abs(interval.low), abs(interval.high)) < LARGEST:
            axes.plot([interval.low, interval.high], [below, below], color=look.colour, lw=2.2, alpha=0.45, zorder=2)
        axes.plot([summary.mean], [below], "|", markersize=6, mew=1.4, color=look.colour, zorder=4)
    if math.isfinite(published):
        axes.plot([published], [place + 0.09], "D", markersize=3.4, mfc="white", mec=look.colour, mew=0.8, zorder=5)


def _key(has_published: bool, has_intervals: bool) -> tuple[list[Line2D], list[str]]:
    dot = Line2D([], [], linestyle="", marker="o", markersize=2.6, color=GREY)
    mean = Line2D([], [], color=f"{GREY}80", lw=2.2, marker="|", markersize=6, mew=1.4, mec=GREY)
    handles, names = [dot, mean], ["run", "mean, 95 % interval"]
    if not has_intervals:
        mean.set_linestyle("")
        names[1] = "mean"
    if has_published:
        handles.append(Line2D([], [], linestyle="", marker="D", markersize=3.4, mfc="white", mec=GREY, mew=0.8))
        names.append("published")
    return handles, names


def _caption(metric: str, known: Sequence[Summary], has_published: bool) -> str:
    method = method_of(summary.interval for summary in known)
    how = f" and its 95 % interval ({method})" if method else ""
    runs = spread([summary.n for summary in known])
    caption = f"{metric} at the end of training: a dot for each seed, {runs}; the mean{how}."
    if has_published:
        caption += " Diamonds: published, one run of its author's."
    return caption


def _words(name: str, summary: Summary | None) -> str:
    if summary is None:
        return f"{name} no result"
    interval = summary.interval
    width = f", 95 % interval {told(interval.low)} to {told(interval.high)}" if math.isfinite(interval.low) else ""
    return f"{name} {told(summary.mean)} (n = {summary.n}{width})"
