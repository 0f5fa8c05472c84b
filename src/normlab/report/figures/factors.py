"""The report's metric over the factors of an ablation: a heat map of all, and lines over each numeric one."""

import math
from collections.abc import Collection, Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from normlab.report.ablation import Ablation, Variant
from normlab.report.figures import drawing
from normlab.report.figures.selection import Selection, join_factors
from normlab.report.statistics import Summary, Values
from normlab.report.variants import parse_number

MAX_NUMBERS = 12
"""Largest number of columns whose cells are wide enough for numbers."""
MIN_VALUES = 3
"""Smallest number of values of a factor that has lines."""

Points = list[tuple[float, Summary]]
"""Values of a factor in ascending order, and the metric there."""


def draw_heatmap(ablation: Ablation, selection: Selection) -> Iterator[drawing.Drawing]:
    """Draw the metric over two factors; of three that vary, the one with fewest values is that of the panels."""
    if len(ablation.factors) not in (2, 3):
        return
    values = {name: _list_values(ablation, name) for name in ablation.factors}
    # Numbers, or else more values, are on the horizontal axis, which is longer.
    names = sorted(values, key=lambda name: (_are_numbers(values[name]), len(values[name])))
    means = np.full([len(values[name]) for name in names], np.nan)
    counts = []
    for variant in ablation.variants:
        if summary := variant.cells[ablation.metric].summary:
            means[tuple(values[name].index(variant.label[name]) for name in names)] = summary.mean
            counts.append(summary.n)
    panels = dict(zip(values[names[0]], means, strict=True)) if len(names) == 3 else {"": means}
    if counts and min(means.shape[-2:]) > 1:
        canvas = _draw_panels(ablation, panels, {name: values[name] for name in names[-2:]})
        caption = f"{drawing.describe_means(counts, has_interval=False)} Brighter is better; hatched: no result."
        places = product(*([f"{name}={value}" for value in values[name]] for name in names))
        numbers = {", ".join(place): [mean] for place, mean in zip(places, means.flat, strict=True)}
        title = f"{ablation.metric} by {', '.join(names)}"
        yield drawing.Drawing(canvas, f"heatmap_{ablation.metric}", title, caption, numbers)


def _list_values(ablation: Ablation, name: str) -> list[str]:
    """Return the values of a factor: numbers in ascending order, others in the order of the ablation."""
    values = list(dict.fromkeys(variant.label[name] for variant in ablation.variants))
    return sorted(values, key=float) if _are_numbers(values) else values


def _are_numbers(values: Collection[str]) -> bool:
    numbers = map(parse_number, values)
    return all(number is not None and math.isfinite(number) for number in numbers)


def _draw_panels(ablation: Ablation, panels: Mapping[str, Values], factors: Mapping[str, list[str]]) -> Canvas:
    rows, columns = factors.values()
    row_factor, column_factor = (drawing.wrap_name(name, 1.5) for name in factors)
    count = len(columns) * len(panels)
    width = drawing.SINGLE if count <= 4 else drawing.DOUBLE
    canvas = drawing.create_canvas(width, 0.75 + max(0.3 * len(rows), 0.9))
    every_axes = canvas.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    every = np.stack(list(panels.values()))
    low, high = np.nanmin(every), np.nanmax(every)
    is_high_bright = ablation.results.higher_is_better(ablation.metric)
    space = max(0.2, (width - 1.6) / count - 0.06)
    for axes, (title, means) in zip(every_axes, panels.items(), strict=True):
        colours = "cividis" if is_high_bright else "cividis_r"  # bright is good
        image = axes.imshow(means, cmap=colours, vmin=low, vmax=high, aspect="auto")
        axes.patch.set(fc="white", ec="#999999", hatch="/////", linewidth=0)  # shows through cells without a mean
        axes.set_xticks(range(len(columns)), [drawing.wrap_name(value, space, 2) for value in columns])
        axes.set_yticks(range(len(rows)), [drawing.wrap_name(value, 1, 2) for value in rows])
        axes.set(title=drawing.wrap_name(title, width / len(panels) - 0.4), xlabel=column_factor)
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        for row, column in np.argwhere(np.isfinite(means)) if count <= MAX_NUMBERS else ():
            mean = means[row, column]
            colour = "black" if (mean > (low + high) / 2) == is_high_bright else "white"
            axes.text(column, row, f"{mean:#.3g}".replace("-", "−"), ha="center", va="center", color=colour)
    every_axes[0].set_ylabel(row_factor)
    label = drawing.wrap_name(ablation.metric, canvas.get_figheight() - 0.4)
    canvas.colorbar(image, ax=every_axes, pad=0.02, aspect=25, label=label).outline.set_linewidth(0.6)
    return canvas


def draw_sensitivity(ablation: Ablation, selection: Selection) -> Iterator[drawing.Drawing]:
    """Draw each numeric factor with at least three values, as a line for each combination of the others."""
    for factor in ablation.factors:
        values = _list_values(ablation, factor)
        if len(values) >= MIN_VALUES and _are_numbers(values):
            lines: dict[str, Points] = {_name_others(variant, factor): [] for variant in selection.variants}
            for variant in sorted(ablation.variants, key=lambda variant: float(variant.label[factor])):
                name, summary = _name_others(variant, factor), variant.cells[ablation.metric].summary
                if name in lines and summary:
                    lines[name].append((float(variant.label[factor]), summary))
            baselines = {_name_others(variant, factor) for variant in selection.variants if variant.is_baseline}
            if lines := {name: points for name, points in lines.items() if points}:
                yield _draw_lines(ablation, factor, lines, baselines)


def _name_others(variant: Variant, factor: str) -> str:
    return ", ".join(value for name, value in variant.label.items() if name != factor)


def _draw_lines(
    ablation: Ablation, factor: str, lines: Mapping[str, Points], baselines: Collection[str]
) -> drawing.Drawing:
    canvas = drawing.create_canvas(drawing.SINGLE, 2.05)
    axes = canvas.subplots()
    handles: dict[str, Line2D] = {}
    numbers: dict[str, tuple[float, ...]] = {}
    styles = drawing.assign_styles([name in baselines for name in lines])
    for (name, points), style in zip(lines.items(), styles, strict=True):
        values, means = [value for value, _ in points], [(s.mean, s.interval.low, s.interval.high) for _, s in points]
        mean, low, high = np.array(means).T
        line: dict[str, Any] = {"color": style.colour, "ls": style.dashes, "marker": style.marker, "ms": 3.2}
        axes.errorbar(values, mean, (mean - low, high - mean), elinewidth=0.9, capsize=1.75, **line)
        handles[name] = drawing.create_handle(style, style.marker)
        numbers |= {f"{name}, {factor}={value:g}".lstrip(", "): ends for value, ends in zip(values, means, strict=True)}
    drawing.choose_scale(axes, "x", np.array([value for points in lines.values() for value, _ in points]))
    axes.set(xlabel=drawing.wrap_name(factor, 2.2), ylabel=drawing.wrap_name(ablation.metric, 1.8))
    if others := [name for name in ablation.factors if name != factor]:
        drawing.add_legend(canvas, handles, join_factors(others))
    caption = drawing.describe_means([summary.n for points in lines.values() for _, summary in points])
    title = f"Final {ablation.metric} against {factor}"
    return drawing.Drawing(canvas, f"sensitivity_{factor}", title, caption, numbers)
