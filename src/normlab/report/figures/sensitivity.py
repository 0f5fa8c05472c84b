"""How the report's metric depends on a factor that is a number, such as the learning rate."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from normlab.report.ablation import Ablation, Variant, higher_is_better
from normlab.report.figures.drawing import (
    LARGEST,
    SINGLE,
    SMALLEST,
    Drawn,
    Figure,
    canvas,
    legend,
    line_handle,
    lines_of,
    logarithmic_axis,
    looks,
    method_of,
    spread,
    told,
    value_axis,
)
from normlab.report.figures.selection import MOST, short_names
from normlab.report.statistics import Summary
from normlab.report.variants import Label, name_of, number

FEWEST = 3
"""Values of a factor that make a line."""


@dataclass(frozen=True)
class Line:
    """Variants that differ in the factor alone."""

    label: Label
    is_baseline: bool
    points: list[tuple[float, Summary]]
    """From the smallest value of the factor to the largest."""

    @property
    def words(self) -> str:
        told_points = ", ".join(f"{told(summary.mean)} at {told(value)}" for value, summary in self.points)
        name = name_of(self.label)
        return f"{name}: {told_points}" if name else told_points


def sensitivity(ablation: Ablation) -> Iterator[Drawn]:
    """Draw each numeric factor of at least three values."""
    for factor in ablation.factors:
        numbers = {value: number(value) for value in (variant.label.get(factor, "") for variant in ablation.variants)}
        known = {text: value for text, value in numbers.items() if value is not None and abs(value) < LARGEST}
        if len(known) < len(numbers) or len(set(known.values())) < FEWEST:
            continue
        lines = _lines(ablation, factor, known)
        if lines:
            yield _draw(ablation, factor, lines)


def _lines(ablation: Ablation, factor: str, numbers: Mapping[str, float]) -> list[Line]:
    grouped: dict[tuple[tuple[str, str], ...], list[Variant]] = {}
    for variant in ablation.variants:
        rest = tuple((key, value) for key, value in variant.label.items() if key != factor)
        grouped.setdefault(rest, []).append(variant)
    fixed = {key: value for key, value in ablation.baseline.items() if key != factor}
    found = []
    for rest, variants in grouped.items():
        points = []
        for variant in variants:
            cell = variant.cells.get(ablation.metric)
            if cell and cell.summary and abs(cell.summary.mean) < LARGEST:
                points.append((numbers[variant.label[factor]], cell.summary))
        if points:
            is_baseline = bool(fixed) and fixed.items() <= dict(rest).items()
            found.append(Line(dict(rest), is_baseline, sorted(points, key=lambda point: point[0])))
    return found


def _draw(ablation: Ablation, factor: str, every: list[Line]) -> Drawn:
    metric = ablation.metric
    lines = _best(every, higher_is_better(metric))
    figure = canvas(SINGLE, 2.05)
    axes = figure.subplots()
    styles = looks([line.is_baseline for line in lines])
    for line, look in zip(lines, styles, strict=True):
        axes.plot(
            [value for value, _ in line.points],
            [summary.mean for _, summary in line.points],
            color=look.colour,
            linestyle=look.line,
            marker=look.marker,
            markersize=3.2,
        )
        for value, summary in line.points:
            low, high = summary.interval.low, summary.interval.high
            if math.isfinite(low + high) and max(abs(low), abs(high)) < LARGEST:
                axes.plot([value, value], [low, high], "-", color=look.colour, lw=0.9, alpha=0.7, marker="_", ms=3.5)
    values = sorted({value for line in lines for value, _ in line.points})
    if is_logarithmic(factor, values):
        axes.set_xscale("log")
        logarithmic_axis(axes.xaxis, values[0], values[-1])
    else:
        value_axis(axes.xaxis)
    value_axis(axes.yaxis)
    axes.set_xlabel(lines_of(factor, 2.2))
    axes.set_ylabel(lines_of(metric, 1.8))
    if lines[0].label:
        names, factors = short_names([line.label for line in lines])
        legend(figure, [line_handle(look, look.marker) for look in styles], names, factors)
    return figure, Figure(
        name=f"sensitivity_{factor}",
        title=f"{metric} against {factor}",
        caption=_caption(metric, factor, lines, len(every)),
        alternative=f"Mean {metric} by {factor}. {'; '.join(line.words for line in lines)}.",
    )


def _best(lines: list[Line], higher: bool) -> list[Line]:
    """Return the lines of the baseline and the best others, by their best point, in the order they came in."""
    sign = -1 if higher else 1
    ranked = sorted(lines, key=lambda line: (not line.is_baseline, min(sign * point.mean for _, point in line.points)))
    kept = {id(line) for line in ranked[:MOST]}
    return [line for line in lines if id(line) in kept]


def is_logarithmic(factor: str, values: list[float]) -> bool:
    """Whether a factor's axis is: that of learning rates, and of positive values over two orders of magnitude."""
    if values[0] <= SMALLEST or values[0] == values[-1]:
        return False
    return factor.endswith("lr") or values[-1] >= 100 * values[0] * (1 - 1e-9)


def _caption(metric: str, factor: str, lines: list[Line], total: int) -> str:
    summaries = [summary for line in lines for _, summary in line.points]
    method = method_of(summary.interval for summary in summaries)
    how = f" with its 95 % interval ({method})" if method else ""
    caption = f"Mean final {metric}{how} against {factor}, {spread([summary.n for summary in summaries])} runs a point."
    if len(lines) < total:
        caption += f" {len(lines)} of {total} lines are shown: the baseline and the best."
    return caption
