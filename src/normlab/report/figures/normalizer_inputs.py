"""Distribution of normalizer inputs during training, as in Ioffe and Szegedy (2015), figure 1."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes

from normlab.report.ablation import Ablation
from normlab.report.figures import drawing, layers
from normlab.report.figures.layers import Observations
from normlab.report.figures.selection import Selection

LOW, MIDDLE, HIGH = QUANTITIES = ("input_p15", "input_p50", "input_p85")
MAX_SPAN_RATIO = 20.0
"""Ratio of spans beyond which the panels of a row do not share an axis, on which the narrowest would be a flat line."""


def draw_normalizer_inputs(ablation: Ablation, selection: Selection) -> Iterator[drawing.Drawing]:
    """Draw a column for each variant and a row for each layer."""
    columns = layers.select_columns(QUANTITIES, selection)
    if columns:
        yield _draw(columns, layers.select_layers(columns, QUANTITIES), selection)


def _draw(columns: Sequence[Observations], rows: Sequence[str], selection: Selection) -> drawing.Drawing:
    width = drawing.SINGLE if len(columns) == 1 else drawing.DOUBLE
    figure = drawing.create_canvas(width, 0.55 + 1.0 * len(rows))
    panels = figure.subplots(len(rows), len(columns), squeeze=False, sharex=True)
    for layer, row in zip(rows, panels, strict=True):
        for run, axes in zip(columns, row, strict=True):
            _draw_panel(axes, run, layer, selection.styles[run.variant.name].colour)
        _share_scale(row.tolist())
        row[0].set_ylabel(drawing.wrap_name(layer, 0.95, max_lines=2))
    for run, axes in zip(columns, panels[0], strict=True):
        axes.set_title(drawing.wrap_name(run.variant.name, (width - 0.5) / len(columns) - 0.15))
    figure.align_ylabels()
    figure.supxlabel("steps")
    figure.supylabel("input of the normalizer")
    return figure, drawing.Figure(
        name="normalizer_inputs",
        title="Distribution of normalizer inputs",
        caption="15th, 50th (thick) and 85th percentile of the inputs of normalizers over training steps. Panels of a "
        f"row share their scale unless their ranges differ by more than {MAX_SPAN_RATIO:.0f}-fold. "
        + layers.describe_runs(columns, selection),
        alternative=layers.describe_last_values("15th, 50th and 85th percentile", columns, rows, QUANTITIES),
    )


def _draw_panel(axes: Axes, run: Observations, layer: str, colour: str) -> None:
    curves = {quantity: run.points[layer, quantity] for quantity in QUANTITIES if (layer, quantity) in run.points}
    for quantity, (steps, values) in curves.items():
        marker = "." if len(steps) == 1 else None
        axes.plot(steps, values, color=colour, linewidth=1.2 if quantity == MIDDLE else 0.6, marker=marker)
    if LOW in curves and HIGH in curves:
        steps, low, high = np.intersect1d(curves[LOW][0], curves[HIGH][0], return_indices=True)
        axes.fill_between(steps, curves[LOW][1][low], curves[HIGH][1][high], color=colour, alpha=0.15, linewidth=0)
    if not curves:
        axes.text(0.5, 0.5, "not observed", transform=axes.transAxes, ha="center", va="center", color=drawing.GREY)
    axes.margins(x=0.02)
    drawing.set_count_ticks(axes.xaxis, 4)
    drawing.set_value_ticks(axes.yaxis, 4)


def _share_scale(row: Sequence[Axes]) -> None:
    """Give the panels of a row one scale if each of them remains legible."""
    limits = np.array([axes.get_ylim() for axes in row if axes.lines]).reshape(-1, 2)
    spans = limits[:, 1] - limits[:, 0]
    if not len(limits) or spans.max() > MAX_SPAN_RATIO * spans.min():
        return
    for axes in row:
        axes.set_ylim(limits[:, 0].min(), limits[:, 1].max())
        axes.tick_params(labelleft=axes is row[0])
