"""Metrics over steps: the mean of each variant with its interval, single runs as thin lines, and published points."""

import math
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
from normlab.report.figures import drawing
from normlab.report.figures.selection import Selection, get_published_curve
from normlab.report.statistics import MIN_INTERVAL_SIZE, Bounds

Values = NDArray[np.float64]
MAX_VECTOR_POINTS = 20_000
"""Beyond this many points of thin lines the SVG holds one image of them instead of paths."""
MAX_STEPS = 1_000
"""Largest number of points of a mean; of more steps, evenly spaced ones are drawn."""
LOG_RATIO = 20.0
"""Ratio of the largest to the smallest loss beyond which the axis is logarithmic."""


@dataclass(frozen=True)
class Curve:
    """One metric of one variant. Lines and published points are arrays (points, 2) of steps and values."""

    variant: Variant
    style: drawing.LineStyle
    settled: list[Values]
    diverged: list[Values]
    published: Values
    steps: Values
    mean: Values
    """Mean over the settled runs, or over the diverged ones if there are no others."""
    low: Values
    high: Values
    """Ends of the interval; nan if fewer than three runs have the step."""

    @property
    def lines(self) -> list[Values]:
        return self.settled + self.diverged


def draw_curves(ablation: Ablation, selection: Selection) -> Iterator[drawing.Drawing]:
    """Draw each metric that was observed during training, final metrics first."""
    rows = ablation.results.curves_over_steps
    if rows.empty:
        return
    rows = rows[rows["variant"].isin(list(selection.styles))]
    rows = rows.sort_values("step", kind="stable").drop_duplicates(["run_id", "name", "step"], keep="last")
    by_metric = {str(name): group for name, group in rows.groupby("name", observed=True, sort=False)}
    for metric in dict.fromkeys([*ablation.metrics, *by_metric]):
        if metric in by_metric:
            bounds = ablation.results.bounds(metric)
            is_loss = not ablation.results.higher_is_better(metric) and math.isinf(bounds[1])
            yield _draw(metric, list(_collect(by_metric[metric], metric, selection, bounds)), selection, is_loss)


def _collect(rows: pd.DataFrame, metric: str, selection: Selection, bounds: Bounds) -> Iterator[Curve]:
    by_variant = {str(name): group for name, group in rows.groupby("variant", observed=True, sort=False)}
    for variant in selection.variants:
        if variant.name not in by_variant:
            continue
        diverged_ids = {run.id for run in variant.runs if run.record.status == "diverged"}
        settled: list[Values] = []
        diverged: list[Values] = []
        for run, points in by_variant[variant.name].groupby("run_id", observed=True, sort=True):
            lines = diverged if str(run) in diverged_ids else settled
            lines.append(points[["step", "value"]].to_numpy(dtype=np.float64))
        yield Curve(
            variant,
            selection.styles[variant.name],
            settled,
            diverged,
            get_published_curve(variant, metric),
            *average_pointwise(np.concatenate(settled or diverged), bounds),
        )


def average_pointwise(points: Values, bounds: Bounds) -> tuple[Values, Values, Values, Values]:
    """Return the distinct steps, the mean at each, and both ends of its 95 % interval (Student's t) within bounds."""
    steps, values = points.T
    distinct, place, n = np.unique(steps, return_inverse=True, return_counts=True)
    mean = np.bincount(place, values) / n
    squares = np.bincount(place, (values - mean[place]) ** 2)
    degrees = np.where(n >= MIN_INTERVAL_SIZE, n - 1, np.nan)
    half = stats.t.ppf(0.975, degrees) * np.sqrt(squares / degrees / n)
    kept = np.unique(np.linspace(0, len(distinct) - 1, MAX_STEPS).round().astype(int))
    low, high = np.maximum(mean - half, bounds[0]), np.minimum(mean + half, bounds[1])
    return distinct[kept], mean[kept], low[kept], high[kept]


def _draw(metric: str, curves: Sequence[Curve], selection: Selection, is_loss: bool) -> drawing.Drawing:
    figure = drawing.create_canvas(drawing.SINGLE, 2.05)
    axes = figure.subplots()
    low, high, is_logarithmic = _compute_limits(curves, is_loss)
    if is_logarithmic:
        axes.set_yscale("log")
        drawing.set_log_ticks(axes.yaxis, low, high)
    else:
        drawing.set_value_ticks(axes.yaxis)
    axes.set_ylim(low, high)
    _draw_runs(axes, curves)
    for place, curve in enumerate(curves):
        _draw_mean(axes, curve, place, alpha=0.18 if len(curves) <= 4 else 0.1)
        _draw_markers(axes, curve, (low, high))
    axes.autoscale(axis="x")
    axes.margins(x=0.02)
    drawing.set_count_ticks(axes.xaxis)
    axes.set_xlabel("steps")
    axes.set_ylabel(drawing.wrap_name(metric, 1.8))
    handles = [drawing.create_handle(curve.style) for curve in curves]
    names = [selection.names[curve.variant.name] for curve in curves]
    for marker, name, is_shown in (
        ("o", "published", any(len(curve.published) for curve in curves)),
        ("x", "diverged", any(curve.diverged for curve in curves)),
    ):
        if is_shown:
            handles.append(Line2D([], [], ls="", marker=marker, markersize=3.5, color=drawing.GREY, mfc="white"))
            names.append(name)
    drawing.add_legend(figure, handles, names, selection.factors)
    last = {curve.variant.name: (curve.mean[-1], curve.low[-1], curve.high[-1]) for curve in curves}
    return figure, drawing.Figure(
        name=f"curves_{metric}",
        title=f"{metric} during training",
        caption=_compose_caption(metric, curves) + selection.remark,
        alternative=drawing.describe_numbers(f"{metric} at the last step, mean and ends of its 95 % interval", last),
    )


def _compute_limits(curves: Sequence[Curve], is_loss: bool) -> tuple[float, float, bool]:
    """Return the limits of the value axis, and whether it is logarithmic.

    Diverged runs may leave the frame, since their last values would flatten all other curves.
    """
    lines = [line for curve in curves for line in curve.lines]
    settled = [line for curve in curves for line in curve.settled] or lines
    published = [curve.published for curve in curves]
    every, steady = (np.concatenate([*group, *published])[:, 1] for group in (lines, settled))
    is_logarithmic = is_loss and every.min() > 0 and every.max() > LOG_RATIO * every.min()
    if is_logarithmic:
        every, steady = np.log10(every), np.log10(steady)
    span = steady.max() - steady.min() or max(abs(steady.max()) * 0.1, 1e-3)
    slack = 1 if is_logarithmic else span / 2
    low, high = max(every.min(), steady.min() - slack), min(every.max(), steady.max() + slack)
    if low == high:
        low, high = low - span / 2, high + span / 2
    margin = 0.04 * (high - low)
    low, high = low - margin, high + margin
    return (10**low, 10**high, True) if is_logarithmic else (low, high, False)


def _draw_runs(axes: Axes, curves: Sequence[Curve]) -> None:
    is_image = sum(len(line) for curve in curves for line in curve.lines) > MAX_VECTOR_POINTS
    for curve in curves:
        if len(curve.lines) > 1:
            alpha = max(0.08, min(0.4, 3 / len(curve.lines)))
            runs = LineCollection(curve.lines, colors=curve.style.colour, linewidths=0.5, alpha=alpha, zorder=1.5)
            runs.set_rasterized(is_image)
            axes.add_collection(runs, autolim=False)
            axes.update_datalim(curve.lines[0])


def _draw_mean(axes: Axes, curve: Curve, place: int, alpha: float) -> None:
    steps, mean, low, high, colour = curve.steps, curve.mean, curve.low, curve.high, curve.style.colour
    known = np.isfinite(low)
    if known.any():
        band = axes.fill_between(steps, low, high, known.tolist(), color=colour, alpha=alpha, linewidth=0, zorder=2)
        band.set_gid(f"interval-{place}")
    marker = "." if len(steps) == 1 else None
    axes.plot(steps, mean, color=colour, linestyle=curve.style.dashes, marker=marker, zorder=3)


def _draw_markers(axes: Axes, curve: Curve, limits: tuple[float, float]) -> None:
    """Mark published points and the last points of diverged runs, these clipped to the frame."""
    colour, marker = curve.style.colour, curve.style.marker
    axes.plot(*curve.published.T, marker, markersize=3.2, mfc="white", mec=colour, mew=0.8, zorder=4)
    if curve.diverged:
        steps, values = np.array([line[-1] for line in curve.diverged]).T
        axes.plot(steps, np.clip(values, *limits), "x", markersize=4, mec=colour, mew=1, zorder=5, clip_on=False)


def _compose_caption(metric: str, curves: Sequence[Curve]) -> str:
    counts = [len(curve.lines) for curve in curves]
    content = "One run"
    if max(counts) > 1:
        interval = ", its pointwise 95 % interval (band, Student's t)" if max(counts) >= MIN_INTERVAL_SIZE else ""
        content = f"Mean (line){interval} and single runs (thin lines)"
    caption = f"{content} of each variant, {drawing.describe_counts(counts)}; {metric} over training steps."
    if any(len(curve.published) for curve in curves):
        caption += " Hollow markers: published figures, which are single runs by the original author."
    diverged = sum(len(curve.diverged) for curve in curves)
    if diverged:
        runs = "a diverged run ends" if diverged == 1 else f"{diverged} diverged runs end"
        caption += f" Crosses: where {runs}; means are over the other runs, if there are any."
    return caption
