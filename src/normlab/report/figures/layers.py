"""Statistics at the normalizers of one run of each variant: their inputs, and the lag of running averages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from normlab.report.ablation import Ablation
from normlab.report.figures import drawing
from normlab.report.figures.drawing import Drawing
from normlab.report.figures.selection import Selection
from normlab.report.load import LARGEST, NORMALIZER_ROWS, Run
from normlab.report.observations import read_observations

INPUTS = LOW, MIDDLE, HIGH = ("input_p15", "input_p50", "input_p85")
AVERAGES = RATIO, OFFSET = ("variance_ratio", "mean_offset")
MAX_LAYERS = 4
MAX_COLUMNS = 4
"""Largest number of variants side by side."""

Observations = Mapping[tuple[str, str], pd.DataFrame]
"""(Variant, layer) → values, with a row for each step and a column for each quantity."""


def draw_layers(ablation: Ablation, selection: Selection) -> Iterator[Drawing]:
    """Draw the inputs of normalizers and their running averages, both with a column for each variant."""
    runs = {variant.name: variant.complete_runs[0] for variant in selection.variants if variant.complete_runs}
    read = {name: _read(run) for name, run in runs.items()}
    for draw, quantities in ((_draw_inputs, INPUTS), (_draw_averages, AVERAGES)):
        found = {name: [layer for layer, it in curves if it in quantities] for name, curves in read.items()}
        known = [variant for variant in selection.variants if found.get(variant.name)]
        variants = [variant.name for variant in replace(ablation, variants=known).select_variants(MAX_COLUMNS)]
        if variants:
            every = list(dict.fromkeys(layer for name in variants for layer in found[name]))
            places = np.unique(np.linspace(0, len(every) - 1, MAX_LAYERS).round().astype(int))
            layers = [every[place] for place in places]
            observed = {
                (name, layer): pd.DataFrame({it: read[name].get((layer, it), {}) for it in quantities}).sort_index()
                for name in variants
                for layer in layers
            }
            numbers = {
                f"{variant}, {layer}/{quantity}": column.dropna().tolist()[-1:]
                for (variant, layer), values in observed.items()
                for quantity, column in values.items()
            }
            figure = draw(observed, variants, layers, selection)
            seeds = ", ".join(map(str, sorted({runs[name].record.seed for name in variants})))
            yield replace(figure, caption=f"{figure.caption} One run each, seed {seeds}.", numbers=numbers)


def _read(run: Run) -> dict[tuple[str, str], dict[int, float]]:
    """Return the finite values of a run: (layer, quantity) → step → value."""
    curves: dict[tuple[str, str], dict[int, float]] = {}
    for step, name, value in zip(*read_observations(run.directory, []), strict=True):
        layer, _, quantity = name.removeprefix(NORMALIZER_ROWS).rpartition("/")
        if name.startswith(NORMALIZER_ROWS) and layer and abs(value) < LARGEST:
            curves.setdefault((layer, quantity), {})[step] = value
    return curves


def _create_panels(variants: Sequence[str], labels: Sequence[str]) -> tuple[Canvas, NDArray[Any]]:
    """Create a column for each variant, and a row for each label, whose panels share their scale."""
    width = drawing.SINGLE if len(variants) == 1 else drawing.DOUBLE
    canvas = drawing.create_canvas(width, 0.5 + 1.1 * len(labels))
    panels = canvas.subplots(len(labels), len(variants), squeeze=False, sharex=True, sharey="row")
    for axes, name in zip(panels[0], variants, strict=True):
        axes.set_title(drawing.wrap_name(name, (width - 0.5) / len(variants) - 0.15))
    for axes, label in zip(panels[:, 0], labels, strict=True):
        axes.set_ylabel(label)
    for axes in panels.flat:
        drawing.set_step_ticks(axes, 4)
    canvas.align_ylabels()
    canvas.supxlabel("steps")
    return canvas, panels


def _draw_inputs(observed: Observations, variants: list[str], layers: list[str], selection: Selection) -> Drawing:
    """Draw percentiles as in Ioffe and Szegedy (2015), figure 1, with a row for each layer."""
    canvas, panels = _create_panels(variants, [drawing.wrap_name(layer, 1, 2) for layer in layers])
    canvas.supylabel("input of the normalizer")
    for (row, column), axes in np.ndenumerate(panels):
        values = observed[variants[column], layers[row]]
        colour = selection.styles[variants[column]].colour
        _plot(axes, values[MIDDLE], color=colour)
        _plot(axes, values[[LOW, HIGH]], color=colour, linewidth=0.6)
        axes.fill_between(values.index, values[LOW], values[HIGH], color=colour, alpha=0.15, linewidth=0)
    caption = "15th, 50th (thick) and 85th percentile of the inputs of normalizers."
    return Drawing(canvas, "normalizer_inputs", "Distribution of normalizer inputs", caption)


def _draw_averages(observed: Observations, variants: list[str], layers: list[str], selection: Selection) -> Drawing:
    """Draw variances in the upper row, and means in the lower one, with a line for each layer."""
    canvas, panels = _create_panels(variants, [quantity.replace("_", " ") for quantity in AVERAGES])
    # Dark to light from the first layer to the last; the colours of variants would be misread.
    shades = map(to_hex, matplotlib.colormaps["viridis"](np.linspace(0, 0.8, len(layers))))
    styles = dict(zip(layers, map(drawing.LineStyle, shades, drawing.DASHES, drawing.MARKERS), strict=False))
    for (row, column), axes in np.ndenumerate(panels):
        for layer, style in styles.items():
            values = observed[variants[column], layer][AVERAGES[row]]
            _plot(axes, values, color=style.colour, linestyle=style.dashes)
        axes.axhline(1 - row, color="#666666", linewidth=0.7, zorder=1)
    lines = [line for axes in panels[0] for line in axes.lines]
    drawing.choose_scale(panels[0, 0], "y", np.concatenate([line.get_ydata() for line in lines]))
    drawing.add_legend(canvas, {layer: drawing.create_handle(style) for layer, style in styles.items()})
    caption = (
        "Running averages, used for inference, compared with 1,000 training images in training mode; without lag the "
        "lines are at 1 and 0. Variance ratio: geometric mean over features. Mean offset: root mean square, in "
        "standard deviations."
    )
    return Drawing(canvas, "running_statistics", "Lag of running averages behind the population", caption)


def _plot(axes: Axes, values: pd.Series | pd.DataFrame, **style: Any) -> None:
    axes.plot(values.index, values, marker="." if len(values) == 1 else None, **style)
