"""The report's metric as a function of a numeric factor, such as the learning rate."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from normlab.report.ablation import Ablation, Variant
from normlab.report.figures import drawing
from normlab.report.figures.selection import MAX_VARIANTS, Selection, get_summary, shorten_names
from normlab.report.statistics import Summary
from normlab.report.variants import Label, format_label, parse_number

MIN_VALUES = 3
"""Smallest number of values of a factor that is drawn."""


@dataclass(frozen=True)
class Line:
    """Variants that differ only in the factor; points are in ascending order of its value."""

    label: Label
    is_baseline: bool
    points: list[tuple[float, Summary]]


def draw_sensitivity(ablation: Ablation, selection: Selection) -> Iterator[drawing.Drawing]:
    """Draw each numeric factor with at least three values."""
    for factor in ablation.factors:
        parsed = {value: parse_number(value) for value in (variant.label[factor] for variant in ablation.variants)}
        numbers = {text: value for text, value in parsed.items() if value is not None and math.isfinite(value)}
        if len(numbers) == len(parsed) and len(set(numbers.values())) >= MIN_VALUES:
            lines = _collect_lines(ablation, factor, numbers)
            if lines:
                best = _select_best(lines, ablation.results.higher_is_better(ablation.metric))
                yield _draw(ablation.metric, factor, lines, best)


def _collect_lines(ablation: Ablation, factor: str, numbers: Mapping[str, float]) -> list[Line]:
    grouped: dict[tuple[tuple[str, str], ...], list[Variant]] = {}
    for variant in ablation.variants:
        rest = tuple((key, value) for key, value in variant.label.items() if key != factor)
        grouped.setdefault(rest, []).append(variant)
    fixed = {key: value for key, value in ablation.baseline.items() if key != factor}
    lines = []
    for rest, variants in grouped.items():
        summaries = ((numbers[variant.label[factor]], get_summary(variant, ablation.metric)) for variant in variants)
        points = sorted(((value, s) for value, s in summaries if s is not None), key=lambda point: point[0])
        if points:
            lines.append(Line(dict(rest), bool(fixed) and fixed.items() <= dict(rest).items(), points))
    return lines


def _draw(metric: str, factor: str, every: list[Line], lines: list[Line]) -> drawing.Drawing:
    figure = drawing.create_canvas(drawing.SINGLE, 2.05)
    axes = figure.subplots()
    styles = drawing.assign_styles([line.is_baseline for line in lines])
    for line, style in zip(lines, styles, strict=True):
        axes.plot(
            [value for value, _ in line.points],
            [summary.mean for _, summary in line.points],
            color=style.colour,
            linestyle=style.dashes,
            marker=style.marker,
            markersize=3.2,
        )
        for value, summary in line.points:
            ends = [summary.interval.low, summary.interval.high]
            axes.plot([value, value], ends, "-", color=style.colour, lw=0.9, alpha=0.7, marker="_", ms=3.5)
    values = sorted({value for line in lines for value, _ in line.points})
    if _is_logarithmic(factor, values):
        axes.set_xscale("log")
        drawing.set_log_ticks(axes.xaxis, values[0], values[-1])
    else:
        drawing.set_value_ticks(axes.xaxis)
    drawing.set_value_ticks(axes.yaxis)
    axes.set_xlabel(drawing.wrap_name(factor, 2.2))
    axes.set_ylabel(drawing.wrap_name(metric, 1.8))
    if lines[0].label:
        names, factors = shorten_names([line.label for line in lines])
        drawing.add_legend(figure, [drawing.create_handle(style, style.marker) for style in styles], names, factors)
    numbers = {
        f"{format_label(line.label)} at {drawing.format_number(value)}".lstrip(): [summary.mean]
        for line in lines
        for value, summary in line.points
    }
    return figure, drawing.Figure(
        name=f"sensitivity_{factor}",
        title=f"{metric} against {factor}",
        caption=_compose_caption(metric, factor, lines, len(every)),
        alternative=drawing.describe_numbers(f"Mean {metric} by {factor}", numbers),
    )


def _select_best(lines: list[Line], higher: bool) -> list[Line]:
    """Return the lines of the baseline and those with the best points, in their original order."""
    sign = -1 if higher else 1
    ranked = sorted(lines, key=lambda line: (not line.is_baseline, min(sign * point.mean for _, point in line.points)))
    kept = {id(line) for line in ranked[:MAX_VARIANTS]}
    return [line for line in lines if id(line) in kept]


def _is_logarithmic(factor: str, values: list[float]) -> bool:
    """Whether to use a logarithmic axis: for learning rates, and for positive values over two orders of magnitude."""
    if values[0] <= 0 or values[0] == values[-1]:
        return False
    return factor.endswith("lr") or values[-1] >= 100 * values[0] * (1 - 1e-9)


def _compose_caption(metric: str, factor: str, lines: list[Line], total: int) -> str:
    summaries = [summary for line in lines for _, summary in line.points]
    interval = drawing.describe_intervals(summary.interval for summary in summaries)
    counts = drawing.describe_counts([summary.n for summary in summaries])
    caption = f"Mean final {metric}{interval} against {factor}, {counts} runs per point."
    if len(lines) < total:
        caption += f" {len(lines)} of {total} lines are shown: the baseline and the best."
    return caption
