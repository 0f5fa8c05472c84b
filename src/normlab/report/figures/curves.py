"""Metrics over steps: the mean of each variant with its interval, single runs as thin lines, and published points."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from normlab.report.ablation import Ablation, Variant
from normlab.report.figures import drawing
from normlab.report.figures.selection import Selection, get_published_curve
from normlab.report.statistics import Values, average_pointwise

MAX_VECTOR_POINTS = 20_000
"""Beyond this many points of thin lines the SVG holds one image of them instead of paths."""


@dataclass(frozen=True)
class Curve:
    """One metric of one variant: arrays (points, 2) of steps and values."""

    variant: Variant
    style: drawing.LineStyle
    settled: list[Values]
    diverged: list[Values]
    published: Values


def draw_curves(ablation: Ablation, selection: Selection) -> Iterator[drawing.Drawing]:
    """Draw each metric that was observed during training, final metrics first."""
    rows = ablation.results.curves_over_steps
    rows = rows[rows["variant"].isin(list(selection.styles))]
    by_metric = {str(name): group for name, group in rows.groupby("name", observed=True, sort=False)}
    for metric in dict.fromkeys([*ablation.metrics, *by_metric]):
        if metric in by_metric:
            yield _draw(ablation, selection, metric, by_metric[metric])


def _draw(ablation: Ablation, selection: Selection, metric: str, rows: pd.DataFrame) -> drawing.Drawing:
    curves = list(_collect(selection, metric, rows))
    bounds = ablation.results.bounds(metric)
    canvas = drawing.create_canvas(*((drawing.SINGLE, 2.05) if len(curves) <= 8 else (drawing.DOUBLE, 3.0)))
    axes = canvas.subplots()
    _set_scales(axes, curves, is_loss=not ablation.results.higher_is_better(metric) and math.isinf(bounds[1]))
    numbers = {}
    for place, curve in enumerate(curves):
        steps, mean, low, high = average_pointwise(np.concatenate(curve.settled or curve.diverged), bounds)
        numbers[curve.variant.name] = mean[-1], low[-1], high[-1]
        colour = curve.style.colour
        if np.isfinite(low).any():
            band = axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0, zorder=2)
            band.set_gid(f"interval-{place}")
        axes.plot(steps, mean, color=colour, ls=curve.style.dashes, zorder=3)
        _draw_runs(axes, curve, is_image=len(rows) > MAX_VECTOR_POINTS)
    axes.set(xlabel="steps", ylabel=drawing.wrap_name(metric, 1.8))
    drawing.set_step_ticks(axes)
    handles = {selection.names[curve.variant.name]: drawing.create_handle(curve.style) for curve in curves}
    if any(len(curve.published) for curve in curves):
        handles["published"] = drawing.create_marker("o")
    has_diverged = any(curve.diverged for curve in curves)
    if has_diverged:
        handles["diverged"] = drawing.create_marker("x")
    drawing.add_legend(canvas, handles, selection.factors)
    caption = drawing.describe_means([len(curve.settled or curve.diverged) for curve in curves])
    caption += " Thin lines: single runs." + " Means leave out diverged runs if there are others." * has_diverged
    return drawing.Drawing(canvas, f"curves_{metric}", f"{metric} during training", caption, numbers)


def _collect(selection: Selection, metric: str, rows: pd.DataFrame) -> Iterator[Curve]:
    points = rows[["step", "value"]].to_numpy(dtype=np.float64)
    by_run = {str(run): points[places] for run, places in rows.groupby("run_id", observed=True).indices.items()}
    for variant in selection.variants:
        lines: dict[bool, list[Values]] = {False: [], True: []}
        for run in variant.runs:
            if run.id in by_run:
                lines[run.record.status == "diverged"].append(by_run[run.id])
        if lines[False] or lines[True]:
            published = get_published_curve(variant, metric)
            yield Curve(variant, selection.styles[variant.name], lines[False], lines[True], published)


def _set_scales(axes: Axes, curves: Sequence[Curve], is_loss: bool) -> None:
    """Scale axes to settled runs and published points; intervals and diverged runs, if there are others, may leave."""
    settled = [line for curve in curves for line in curve.settled]
    diverged = [line for curve in curves for line in curve.diverged]
    points = np.concatenate([*(settled or diverged), *(curve.published for curve in curves)])
    if is_loss:
        drawing.choose_scale(axes, "y", points[:, 1])
    axes.update_datalim(points)
    axes.margins(x=0.02)
    axes.autoscale_view()
    axes.autoscale(enable=False)


def _draw_runs(axes: Axes, curve: Curve, is_image: bool) -> None:
    """Draw single runs and published points, and mark the last points of diverged runs, clipped to the frame."""
    lines, colour = curve.settled + curve.diverged, curve.style.colour
    if len(lines) > 1:
        alpha = max(0.08, min(0.4, 3 / len(lines)))
        runs = LineCollection(lines, colors=colour, linewidths=0.5, alpha=alpha, zorder=1.5, rasterized=is_image)
        axes.add_collection(runs, autolim=False)
    axes.plot(*curve.published.T, curve.style.marker, ms=3.2, mfc="white", mec=colour, mew=0.8, zorder=4)
    for line in curve.diverged:
        step, value = line[-1]
        axes.plot(step, np.clip(value, *axes.get_ylim()), "x", ms=4, mec=colour, mew=1, zorder=5, clip_on=False)
