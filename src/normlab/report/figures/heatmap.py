"""Heat map of the report's metric over two factors."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from normlab.report.ablation import Ablation
from normlab.report.figures import drawing
from normlab.report.figures.selection import Selection, get_summary
from normlab.report.variants import parse_number

MAX_NUMBERS = 12
"""Largest number of columns whose cells are wide enough for numbers."""

Grid = NDArray[np.float64]


class Factor(NamedTuple):
    """A factor and its values: numbers in ascending order, others in the order of the ablation."""

    name: str
    values: list[str]
    is_numeric: bool


def draw_heatmap(ablation: Ablation, selection: Selection) -> Iterator[drawing.Drawing]:
    """Draw the metric over both factors, if exactly two vary."""
    if len(ablation.factors) != 2:
        return
    # Numbers, or else more values, are on the horizontal axis, which is longer.
    rows, columns = sorted(
        (_collect_values(ablation, name) for name in ablation.factors),
        key=lambda factor: (factor.is_numeric, len(factor.values)),
    )
    means, n = _create_grids(ablation, rows, columns)
    if min(means.shape) > 1 and np.isfinite(means).any():
        yield _draw(ablation, rows, columns, means, n)


def _collect_values(ablation: Ablation, name: str) -> Factor:
    values = list(dict.fromkeys(variant.label[name] for variant in ablation.variants))
    numbers = {
        value: parsed for value in values if (parsed := parse_number(value)) is not None and math.isfinite(parsed)
    }
    is_numeric = len(numbers) == len(values)
    return Factor(name, sorted(values, key=numbers.__getitem__) if is_numeric else values, is_numeric)


def _create_grids(ablation: Ablation, rows: Factor, columns: Factor) -> tuple[Grid, Grid]:
    """Return means and run counts, both (rows, columns), with nan and 0 for pairs without a result."""
    means = np.full((len(rows.values), len(columns.values)), np.nan)
    n = np.zeros_like(means)
    places = [{value: place for place, value in enumerate(factor.values)} for factor in (rows, columns)]
    for variant in ablation.variants:
        summary = get_summary(variant, ablation.metric)
        if summary:
            place = places[0][variant.label[rows.name]], places[1][variant.label[columns.name]]
            means[place], n[place] = summary.mean, summary.n
    return means, n


def _draw(ablation: Ablation, rows: Factor, columns: Factor, means: Grid, n: Grid) -> drawing.Drawing:
    metric, bright_is_high = ablation.metric, ablation.results.higher_is_better(ablation.metric)
    width = drawing.SINGLE if len(columns.values) <= 4 else drawing.DOUBLE
    figure = drawing.create_canvas(width, min(8.5, 0.75 + max(0.3 * len(rows.values), 0.9)))
    axes = figure.subplots()
    colours = "cividis" if bright_is_high else "cividis_r"  # bright is good
    low, high = float(np.nanmin(means)), float(np.nanmax(means))
    if low == high:
        low, high = low - 0.5, high + 0.5
    image = axes.imshow(means, cmap=colours, vmin=low, vmax=high, aspect="auto")
    axes.patch.set(fc="white", ec="#999999", hatch="/////", linewidth=0)  # shows through cells without a mean
    usual = Counter(n[n > 0].astype(int).tolist()).most_common(1)[0][0]
    if len(columns.values) <= MAX_NUMBERS:
        _write_numbers(axes, means, n, usual, middle=(low + high) / 2, bright_is_high=bright_is_high)
    _label_axes(axes, rows, columns, width)
    label = drawing.wrap_name(metric, figure.get_figheight() - 0.4)
    figure.colorbar(image, ax=axes, pad=0.02, aspect=25, label=label).outline.set_linewidth(0.6)
    numbers = {
        f"{rows.name}={rows.values[row]}, {columns.name}={columns.values[column]}": [float(means[row, column])]
        for row, column in np.ndindex(means.shape)
    }
    return figure, drawing.Figure(
        name=f"heatmap_{metric}",
        title=f"{metric} by {rows.name} and {columns.name}",
        caption=f"Mean final {metric} for each pair of values, n = {usual} runs"
        f"{' unless noted otherwise' if (n[n > 0] != usual).any() else ' each'}; brighter is better."
        f"{' Hatched: no run finished.' if (n == 0).any() else ''}",
        alternative=drawing.describe_numbers(f"Mean {metric}", numbers),
    )


def _write_numbers(axes: Axes, means: Grid, n: Grid, usual: int, middle: float, bright_is_high: bool) -> None:
    largest = float(np.nanmax(np.abs(means)))
    decimals = max(0, 2 - math.floor(math.log10(largest))) if 1e-3 <= largest < 1e4 else None
    for row, column in np.argwhere(np.isfinite(means)):
        mean = means[row, column]
        text = f"{mean:.2g}" if decimals is None else f"{mean:.{decimals}f}"
        text = text.replace("-", "−")
        if n[row, column] != usual:
            text += f"\nn = {n[row, column]:.0f}"
        colour = "black" if (mean > middle) == bright_is_high else "white"
        axes.text(column, row, text, ha="center", va="center", color=colour, linespacing=1.05)


def _label_axes(axes: Axes, rows: Factor, columns: Factor, width: float) -> None:
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0)
    column_width = (width - 1.6) / len(columns.values) - 0.06
    for axis, factor, space in ((axes.yaxis, rows, 1.0), (axes.xaxis, columns, column_width)):
        labels = [drawing.wrap_name(value, space, max_lines=2) for value in factor.values]
        axis.set_ticks(range(len(labels)), labels)
        axis.set_label_text(drawing.wrap_name(factor.name, 1.5))
