"""Final values of the report's metric against final norms of the gradient."""

from collections.abc import Iterator
from statistics import fmean

from normlab.report.ablation import Ablation
from normlab.report.figures import drawing
from normlab.report.figures.selection import Selection

NORM = "gradient/norm"


def draw_gradients(ablation: Ablation, selection: Selection) -> Iterator[drawing.Drawing]:
    """Draw a point for each finished run."""
    if NORM not in ablation.metrics:
        return
    canvas = drawing.create_canvas(drawing.SINGLE, 2.0)
    axes = canvas.subplots()
    handles, numbers = {}, {}
    for variant in selection.variants:
        norms, values = variant.values(NORM), variant.values(ablation.metric)
        seeds = sorted(norms.keys() & values.keys())
        style = selection.styles[variant.name]
        points = [norms[seed] for seed in seeds], [values[seed] for seed in seeds]
        axes.plot(*points, style.marker, color=style.colour)
        handles[selection.names[variant.name]] = drawing.create_handle(style, style.marker)
        if seeds:
            numbers[variant.name] = [fmean(points[0]), min(points[0]), max(points[0])]
    axes.set(xlabel=NORM, ylabel=ablation.metric)
    drawing.add_legend(canvas, handles, selection.factors)
    yield drawing.Drawing(
        canvas,
        name="gradient_norm",
        title="Norm of the gradient after training",
        caption=f"A point for each run: {ablation.metric} against {NORM}.",
        numbers=numbers,
    )
