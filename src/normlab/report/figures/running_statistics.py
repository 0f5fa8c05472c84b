"""Distance between the running averages used for inference and the statistics of the population."""

from collections.abc import Iterator, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from normlab.report.ablation import Ablation
from normlab.report.figures import drawing, layers
from normlab.report.figures.drawing import LineStyle
from normlab.report.figures.layers import Observations
from normlab.report.figures.selection import Selection

RATIO, OFFSET = QUANTITIES = ("variance_ratio", "mean_offset")


def draw_running_statistics(ablation: Ablation, selection: Selection) -> Iterator[drawing.Drawing]:
    """Draw a column for each variant with running averages: variances in the upper row, means in the lower."""
    columns = layers.select_columns(QUANTITIES, selection)
    if columns:
        yield _draw(columns, layers.select_layers(columns, QUANTITIES), selection)


def _draw(columns: Sequence[Observations], names: Sequence[str], selection: Selection) -> drawing.Drawing:
    width = drawing.SINGLE if len(columns) == 1 else drawing.DOUBLE
    figure = drawing.create_canvas(width, 2.9)
    panels = figure.subplots(2, len(columns), squeeze=False, sharex=True, sharey="row")
    # Dark to light from the first layer to the last; the colours of variants would be misread.
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.8, len(names)))
    styles = list(map(LineStyle, map(to_hex, shades), drawing.DASHES, drawing.MARKERS))
    for run, column in zip(columns, panels.T, strict=True):
        for axes, quantity, target in zip(column, QUANTITIES, (1, 0), strict=True):
            for layer, style in zip(names, styles, strict=True):
                steps, values = run.points.get((layer, quantity), ((), ()))
                marker = "." if len(steps) == 1 else None
                axes.plot(steps, values, color=style.colour, linestyle=style.dashes, marker=marker, zorder=2)
            axes.axhline(target, color="#666666", linewidth=0.7, zorder=1)
            axes.margins(x=0.02)
            drawing.set_count_ticks(axes.xaxis, 4)
        column[0].set_title(drawing.wrap_name(run.variant.name, (width - 0.5) / len(columns) - 0.15))
    _scale_logarithmically(panels[0])
    drawing.set_value_ticks(panels[1, 0].yaxis, 5)
    panels[0, 0].set_ylabel("running variance /\npopulation's")
    panels[1, 0].set_ylabel("distance of means\n(std. deviations)")
    figure.align_ylabels()
    figure.supxlabel("steps")
    drawing.add_legend(figure, [drawing.create_handle(style) for style in styles], names)
    return figure, drawing.Figure(
        name="running_statistics",
        title="Lag of running averages behind the population",
        caption="Running averages of normalizers compared with the population, a sample of 1,000 training images "
        "evaluated in training mode. Top: running variance divided by that of the population, geometric mean over "
        "features. Bottom: root mean square distance of the running mean, in standard deviations of the population. "
        "Inference uses running averages: until the lines reach 1 and 0, its activations differ from those in "
        "training. " + layers.describe_runs(columns, selection),
        alternative=layers.describe_last_values("Variance ratio and mean offset", columns, names, QUANTITIES),
    )


def _scale_logarithmically(row: Sequence[Axes]) -> None:
    values = np.concatenate([np.asarray(line.get_ydata()) for axes in row for line in axes.lines])
    values = values[values > 0]
    low, high = min(values.min(), 1 / 1.1), max(values.max(), 1.1)
    margin = (high / low) ** 0.06
    for axes in row:
        axes.set_ylim(low / margin, high * margin)
        axes.set_yscale("log")
    drawing.set_log_ticks(row[0].yaxis, low, high)
