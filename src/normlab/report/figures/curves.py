"""Curves over updates: the mean of each variant with its interval, every run as a thin line, and published points."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from scipy import stats

from normlab.report.ablation import Ablation, Variant
from normlab.report.figures.drawing import (
    LARGEST,
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
    spread,
    told,
    value_axis,
)
from normlab.report.figures.selection import Selection, published_curve

Values = NDArray[np.float64]
MOST_VECTOR_LINES = 50
"""Thin lines that the SVG holds as such; more of them, or of their points, are one image within it."""
MOST_VECTOR_POINTS = 20_000
MOST_STEPS = 1_000
"""Steps of a mean that are drawn, more than a page has dots for; of more, evenly spaced ones."""
WIDE = 20.0
"""Largest over smallest value from which an axis of losses is logarithmic."""


@dataclass(frozen=True)
class Curve:
    """One metric of one variant."""

    variant: Variant
    look: Look
    lines: list[Values]
    """A run each: (points, 2), step and value."""
    diverged: list[bool]
    """Whether the run did."""
    published: dict[float, float]
    steps: Values
    mean: Values
    """Over the runs that have the step, without diverged ones where others are left."""
    half: Values
    """Of the interval's width; nan where a single run has the step."""

    @property
    def end(self) -> str:
        """The mean at the last step in words."""
        interval = f" ± {told(self.half[-1])}" if np.isfinite(self.half[-1]) else ""
        return f"{self.variant.name} {told(self.mean[-1])}{interval} at update {self.steps[-1]:.0f}"


def curves(ablation: Ablation, selection: Selection) -> Iterator[Drawn]:
    """Draw each metric that was observed during training, final metrics first."""
    rows = ablation.results.observed
    if rows.empty:
        return
    rows = rows[rows["variant"].isin(list(selection.looks)) & (rows["value"].abs() < LARGEST)]  # drops nan as well
    rows = rows.sort_values("step", kind="stable").drop_duplicates(["run_id", "name", "step"], keep="last")
    by_metric = {str(name): own for name, own in rows.groupby("name", observed=True, sort=False)}
    for metric in dict.fromkeys([*ablation.metrics, *by_metric]):
        if metric in by_metric:
            yield _draw(metric, list(_curves(by_metric[metric], metric, selection)), selection)


def _curves(rows: pd.DataFrame, metric: str, selection: Selection) -> Iterator[Curve]:
    by_variant = {str(name): own for name, own in rows.groupby("variant", observed=True, sort=False)}
    for variant in selection.variants:
        own = by_variant.get(variant.name)
        if own is None:
            continue
        diverged = {run.id for run in variant.runs if run.record.status == "diverged"}
        runs = list(own.groupby("run_id", observed=True, sort=True))
        lines = [points[["step", "value"]].to_numpy(dtype=np.float64) for _, points in runs]
        settled = [line for line, (run, _) in zip(lines, runs, strict=True) if str(run) not in diverged]
        yield Curve(
            variant,
            selection.looks[variant.name],
            lines,
            [str(run) in diverged for run, _ in runs],
            published_curve(variant, metric),
            *pointwise(np.concatenate(settled or lines)),
        )


def pointwise(points: Values) -> tuple[Values, Values, Values]:
    """Return the steps, the mean at each, and half the width of its 95 % interval (Student's t)."""
    steps, values = points.T
    distinct, place, n = np.unique(steps, return_inverse=True, return_counts=True)
    mean = np.bincount(place, values) / n
    squares = np.bincount(place, (values - mean[place]) ** 2)
    degrees = np.where(n > 1, n - 1, np.nan)
    half = stats.t.ppf(0.975, degrees) * np.sqrt(squares / degrees / n)
    kept = np.unique(np.linspace(0, len(distinct) - 1, MOST_STEPS).round().astype(int))
    return distinct[kept], mean[kept], half[kept]


def _draw(metric: str, found: Sequence[Curve], selection: Selection) -> Drawn:
    figure = canvas(SINGLE, 2.05)
    axes = figure.subplots()
    low, high, logarithmic = _limits(metric, found)
    if logarithmic:
        axes.set_yscale("log")
        logarithmic_axis(axes.yaxis, low, high)
    else:
        value_axis(axes.yaxis)
    axes.set_ylim(low, high)
    _thin_lines(axes, found)
    for place, curve in enumerate(found):
        _mean(axes, curve, place, alpha=0.18 if len(found) <= 4 else 0.1)
        _points(axes, curve, (low, high))
    axes.autoscale(axis="x")
    axes.margins(x=0.02)
    count_axis(axes.xaxis)
    axes.set_xlabel("updates")
    axes.set_ylabel(lines_of(metric, 1.8))
    handles = [line_handle(curve.look) for curve in found]
    names = [selection.names[curve.variant.name] for curve in found]
    for marker, name, is_there in (
        ("o", "published", any(curve.published for curve in found)),
        ("x", "diverged", any(any(curve.diverged) for curve in found)),
    ):
        if is_there:
            handles.append(Line2D([], [], linestyle="", marker=marker, markersize=3.5, color="#555555", mfc="white"))
            names.append(name)
    legend(figure, handles, names, selection.factors)
    return figure, Figure(
        name=f"curves_{metric}",
        title=f"{metric} over updates",
        caption=_caption(metric, found) + selection.remark,
        alternative=f"Mean {metric} where each curve ends: {'; '.join(curve.end for curve in found)}.",
    )


def _limits(metric: str, found: Sequence[Curve]) -> tuple[float, float, bool]:
    """Return the ends of the value axis, and whether it is logarithmic.

    Diverged runs may leave the frame: what they end at would press all other curves flat.
    """
    every = np.concatenate([line[:, 1] for curve in found for line in curve.lines])
    settled = [
        line[:, 1]
        for curve in found
        for line, diverged in zip(curve.lines, curve.diverged, strict=True)
        if not diverged
    ]
    steady = np.concatenate([*(settled or [every]), *(list(curve.published.values()) for curve in found)])
    every = np.concatenate([every, steady])
    logarithmic = "loss" in metric.lower() and every.min() > SMALLEST and every.max() > WIDE * every.min()
    if logarithmic:
        low = max(every.min(), steady.min() / 10)
        high = min(every.max(), steady.max() * 10)
        margin = (high / low) ** 0.04
        return low / margin, high * margin, True
    span = steady.max() - steady.min() or max(abs(steady.max()) * 0.1, 1e-3)
    low = max(every.min(), steady.min() - span / 2)
    high = min(every.max(), steady.max() + span / 2)
    if low == high:
        low, high = low - span / 2, high + span / 2
    margin = 0.04 * (high - low)
    return low - margin, high + margin, False


def _thin_lines(axes: Axes, found: Sequence[Curve]) -> None:
    every = [line for curve in found for line in curve.lines]
    is_image = len(every) > MOST_VECTOR_LINES or sum(map(len, every)) > MOST_VECTOR_POINTS
    for curve in found:
        if len(curve.lines) > 1:
            alpha = max(0.08, min(0.4, 3 / len(curve.lines)))
            lines = LineCollection(curve.lines, colors=curve.look.colour, linewidths=0.5, alpha=alpha, zorder=1.5)
            lines.set_rasterized(is_image)
            axes.add_collection(lines, autolim=False)
            axes.update_datalim(curve.lines[0])


def _mean(axes: Axes, curve: Curve, place: int, alpha: float) -> None:
    known = np.isfinite(curve.half)
    if known.any():
        band = axes.fill_between(
            curve.steps,
            curve.mean - curve.half,
            curve.mean + curve.half,
            where=known.tolist(),
            color=curve.look.colour,
            alpha=alpha,
            linewidth=0,
            zorder=2,
        )
        band.set_gid(f"interval-{place}")
    marker = "." if len(curve.steps) == 1 else None
    axes.plot(curve.steps, curve.mean, color=curve.look.colour, linestyle=curve.look.line, marker=marker, zorder=3)


def _points(axes: Axes, curve: Curve, limits: tuple[float, float]) -> None:
    """Mark published points, and where diverged runs end, at the edge of the frame if beyond it."""
    look = curve.look
    if curve.published:
        steps, values = zip(*curve.published.items(), strict=True)
        axes.plot(steps, values, look.marker, markersize=3.2, mfc="white", mec=look.colour, mew=0.8, zorder=4)
    ends = [line[-1] for line, diverged in zip(curve.lines, curve.diverged, strict=True) if diverged]
    if ends:
        steps, values = np.array(ends).T
        axes.plot(steps, np.clip(values, *limits), "x", markersize=4, mec=look.colour, mew=1, zorder=5, clip_on=False)


def _caption(metric: str, found: Sequence[Curve]) -> str:
    runs = spread([len(curve.lines) for curve in found])
    single = max(len(curve.lines) for curve in found) == 1
    what = (
        "One run" if single else "Mean (line), its pointwise 95 % interval (band, Student's t) and single runs (thin)"
    )
    caption = f"{what} of each variant, {runs}; {metric} over the number of updates made."
    if any(curve.published for curve in found):
        caption += " Hollow markers: published, one run of its author's."
    diverged = sum(sum(curve.diverged) for curve in found)
    if diverged:
        runs = "a diverged run ends" if diverged == 1 else f"{diverged} diverged runs end"
        caption += f" Crosses: where {runs}; means are over the others, where there are any."
    return caption
