"""Heat map of the report's metric over two factors, or over three in panels."""

import math
from collections import Counter
from collections.abc import Iterator
from itertools import product
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

MAX_PANELS = 6

Grid = NDArray[np.float64]


class Factor(NamedTuple):
    """A factor and its values: numbers in ascending order, others in the order of the ablation."""

    name: str
    values: list[str]
    is_numeric: bool


def draw_heatmap(ablation: Ablation, selection: Selection) -> Iterator[drawing.Drawing]:
    """Draw the metric over two factors; of three that vary, the one with fewest values is that of the panels."""
    if len(ablation.factors) not in (2, 3):
        return
    # Numbers, or else more values, are on the horizontal axis, which is longer.
    *panels, rows, columns = sorted(
        (_collect_values(ablation, name) for name in ablation.factors),
        key=lambda factor: (factor.is_numeric, len(factor.values)),
    )
    panel = panels[0] if panels else Factor("", [""], False)
    means, n = _create_grids(ablation, panel, rows, columns)
    if min(means.shape[1:]) > 1 and len(panel.values) <= MAX_PANELS and np.isfinite(means).any():
        yield _draw(ablation, panel, rows, columns, means, n)


def _collect_values(ablation: Ablation, name: str) -> Factor:
    values = list(dict.fromkeys(variant.label[name] for variant in ablation.variants))
    numbers = {
        value: parsed for value in values if (parsed := parse_number(value)) is not None and math.isfinite(parsed)
    }
    is_numeric = len(numbers) == len(values)
    return Factor(name, sorted(values, key=numbers.__getitem__) if is_numeric else values, is_numeric)


def _create_grids(ablation: Ablation, *factors: Factor) -> tuple[Grid, Grid]:
    """Return means and run counts, both (panels, rows, columns), with nan and 0 where there is no result."""
    means = np.full([len(factor.values) for factor in factors], np.nan)
    n = np.zeros_like(means)
    for variant in ablation.variants:
        summary = get_summary(variant, ablation.metric)
        if summary:
            place = tuple(factor.values.index(variant.label.get(factor.name, "")) for factor in factors)
            means[place], n[place] = summary.mean, summary.n
    return means, n


def _draw(ablation: Ablation, panel: Factor, rows: Factor, columns: Factor, means: Grid, n: Grid) -> drawing.Drawing:
    metric, bright_is_high = ablation.metric, ablation.results.higher_is_better(ablation.metric)
    width = drawing.SINGLE if len(columns.values) * len(panel.values) <= 4 else drawing.DOUBLE
    figure = drawing.create_canvas(width, min(8.5, 0.75 + max(0.3 * len(rows.values), 0.9)))
    every_axes = figure.subplots(1, len(panel.values), sharey=True, squeeze=False)[0]
    colours = "cividis" if bright_is_high else "cividis_r"  # bright is good
    low, high = float(np.nanmin(means)), float(np.nanmax(means))
    if low == high:
        low, high = low - 0.5, high + 0.5
    usual = Counter(n[n > 0].astype(int).tolist()).most_common(1)[0][0]
    for axes, value, its_means, its_n in zip(every_axes, panel.values, means, n, strict=True):
        image = axes.imshow(its_means, cmap=colours, vmin=low, vmax=high, aspect="auto")
        axes.patch.set(fc="white", ec="#999999", hatch="/////", linewidth=0)  # shows through cells without a mean
        if len(columns.values) * len(panel.values) <= MAX_NUMBERS:
            _write_numbers(axes, its_means, its_n, usual, middle=(low + high) / 2, bright_is_high=bright_is_high)
        _label_axes(axes, rows if axes is every_axes[0] else None, columns, width / len(panel.values))
        axes.set_title(drawing.wrap_name(value, width / len(panel.values) - 0.4))
    label = drawing.wrap_name(metric, figure.get_figheight() - 0.4)
    figure.colorbar(image, ax=every_axes, pad=0.02, aspect=25, label=label).outline.set_linewidth(0.6)
    factors = [factor for factor in (panel, rows, columns) if factor.name]
    numbers = {
        ", ".join(f"{factor.name}={value}" for factor, value in zip(factors, values, strict=True)): [float(mean)]
        for values, mean in zip(product(*(factor.values for factor in factors)), means.flat, strict=True)
    }
    return figure, drawing.Figure(
        name=f"heatmap_{metric}",
        title=f"{metric} by {rows.name} and {columns.name}{f' for each {panel.name}' if panel.name else ''}",
        caption=f"Mean final {metric} for each combination of values, n = {usual} runs"
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


def _label_axes(axes: Axes, rows: Factor | None, columns: Factor, width: float) -> None:
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0)
    column_width = max(0.2, (width - 1.6) / len(columns.values) - 0.06)
    for axis, factor, space in ((axes.yaxis, rows, 1.0), (axes.xaxis, columns, column_width)):
        if factor is None:  # the panels share it
            continue
        labels = [drawing.wrap_name(value, space, max_lines=2) for value in factor.values]
        axis.set_ticks(range(len(labels)), labels)
        axis.set_label_text(drawing.wrap_name(factor.name, 1.5))
