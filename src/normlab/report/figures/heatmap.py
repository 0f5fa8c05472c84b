"""Two factors at once: the mean of the report's metric for every pair of their values."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from normlab.report.ablation import Ablation, higher_is_better
from normlab.report.figures.drawing import (
    DOUBLE,
    LARGEST,
    SINGLE,
    Drawn,
    Figure,
    canvas,
    lines_of,
    told,
)
from normlab.report.variants import number

MOST_NUMBERS = 12
"""Columns up to which cells are wide enough for numbers."""
MOST_LABELS = 24
"""Values of a factor that are named along its axis; of more, every second, third, ..."""

Grid = NDArray[np.float64]


def heatmap(ablation: Ablation) -> Iterator[Drawn]:
    """Draw the metric over both factors, where there are exactly two that vary."""
    if len(ablation.factors) != 2:
        return
    values = {factor: _values(ablation, factor) for factor in ablation.factors}
    if min(map(len, values.values())) < 2:
        return
    # What has numbers, or else more values, lies along the longer side.
    down, across = sorted(ablation.factors, key=lambda factor: (_is_numeric(values[factor]), len(values[factor])))
    means, n = _grids(ablation, (down, values[down]), (across, values[across]))
    if np.isfinite(means).any():
        yield _draw(ablation.metric, (down, values[down]), (across, values[across]), means, n)


def _values(ablation: Ablation, factor: str) -> list[str]:
    """Return the values of a factor: numbers from small to large, others as the ablation has them."""
    found = list(dict.fromkeys(variant.label[factor] for variant in ablation.variants if factor in variant.label))
    return sorted(found, key=lambda value: number(value) or 0.0) if _is_numeric(found) else found


def _is_numeric(values: Sequence[str]) -> bool:
    return all(math.isfinite(math.nan if (found := number(value)) is None else found) for value in values)


def _grids(ablation: Ablation, down: tuple[str, list[str]], across: tuple[str, list[str]]) -> tuple[Grid, Grid]:
    means = np.full((len(down[1]), len(across[1])), np.nan)
    n = np.zeros_like(means)
    rows, columns = ({value: place for place, value in enumerate(values)} for _, values in (down, across))
    for variant in ablation.variants:
        cell = variant.cells.get(ablation.metric)
        if cell and cell.summary and abs(cell.summary.mean) < LARGEST:
            place = rows[variant.label[down[0]]], columns[variant.label[across[0]]]
            means[place], n[place] = cell.summary.mean, cell.summary.n
    return means, n


def _draw(metric: str, down: tuple[str, list[str]], across: tuple[str, list[str]], means: Grid, n: Grid) -> Drawn:
    rows, columns = means.shape
    width = SINGLE if columns <= 4 else DOUBLE
    figure = canvas(width, min(8.5, 0.75 + max(0.3 * rows, 0.9)))
    axes = figure.subplots()
    colours = "cividis" if higher_is_better(metric) else "cividis_r"  # bright is good
    low, high = float(np.nanmin(means)), float(np.nanmax(means))
    if low == high:
        low, high = low - 0.5, high + 0.5
    image = axes.imshow(means, cmap=colours, vmin=low, vmax=high, aspect="auto")
    for row, column in np.argwhere(np.isnan(means)):
        cell = Rectangle((column - 0.5, row - 0.5), 1, 1, fc="white", ec="#999999", hatch="/////", linewidth=0)
        axes.add_patch(cell)
    usual = Counter(n[n > 0].astype(int).tolist()).most_common(1)[0][0]
    if columns <= MOST_NUMBERS and rows <= MOST_LABELS:
        _numbers(axes, means, n, usual, middle=(low + high) / 2, bright_is_high=higher_is_better(metric))
    _labels(axes, down, across, width)
    bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=25, label=lines_of(metric, figure.get_figheight() - 0.4))
    bar.outline.set_linewidth(0.6)
    return figure, Figure(
        name=f"heatmap_{metric}",
        title=f"{metric} by {down[0]} and {across[0]}",
        caption=_caption(metric, n, usual),
        alternative=_words(metric, down, across, means),
    )


def _numbers(axes: Axes, means: Grid, n: Grid, usual: int, middle: float, bright_is_high: bool) -> None:
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


def _labels(axes: Axes, down: tuple[str, list[str]], across: tuple[str, list[str]], width: float) -> None:
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0)
    room = (width - 1.6) / min(len(across[1]), MOST_LABELS) - 0.06
    for axis, (factor, values), space in ((axes.yaxis, down, 1.0), (axes.xaxis, across, room)):
        places = range(0, len(values), math.ceil(len(values) / MOST_LABELS))
        labels = [lines_of(values[place], space, most=2) for place in places]
        axis.set_ticks(list(places), labels)
        axis.set_label_text(lines_of(factor, 1.5))


def _caption(metric: str, n: Grid, usual: int) -> str:
    caption = f"Mean final {metric} for each pair of values, n = {usual} runs"
    caption += (
        " unless said otherwise; brighter is better." if (n[n > 0] != usual).any() else " each; brighter is better."
    )
    return caption + (" Hatched: no run finished." if (n == 0).any() else "")


def _words(metric: str, down: tuple[str, list[str]], across: tuple[str, list[str]], means: Grid) -> str:
    known = [
        f"{down[0]}={down[1][row]}, {across[0]}={across[1][column]} {told(means[row, column])}"
        for row, column in np.argwhere(np.isfinite(means))
    ]
    if len(known) > 60:
        return f"Mean {metric} of {len(known)} pairs, from {told(np.nanmin(means))} to {told(np.nanmax(means))}."
    return f"Mean {metric}: {'; '.join(known)}."
