"""Final values of the report's metric against final norms of the gradient."""

from collections.abc import Iterator

from normlab.report.ablation import Ablation
from normlab.report.figures import drawing
from normlab.report.figures.selection import Selection

NORM = "gradient/norm"


def draw_gradients(ablation: Ablation, selection: Selection) -> Iterator[drawing.Drawing]:
    """Draw a point for each finished run."""
    if NORM not in ablation.metrics:
        return
    figure = drawing.create_canvas(drawing.SINGLE, 2.0)
    axes = figure.subplots()
    for variant in selection.variants:
        norms, values = variant.values(NORM), variant.values(ablation.metric)
        seeds = sorted(norms.keys() & values.keys())
        style = selection.styles[variant.name]
        points = [norms[seed] for seed in seeds], [values[seed] for seed in seeds]
        axes.plot(*points, style.marker, color=style.colour)
    axes.set(xlabel=NORM, ylabel=ablation.metric, xscale="log")
    drawing.set_log_ticks(axes.xaxis, *axes.get_xlim())
    handles = [drawing.create_handle(style, style.marker) for style in selection.styles.values()]
    drawing.add_legend(figure, handles, list(selection.names.values()), selection.factors)
    norms_of_all = {variant.name: variant.values(NORM).values() for variant in selection.variants}
    yield (
        figure,
        drawing.Figure(
            name="gradient_norm",
            title="Norm of the gradient after training",
            caption=f"A point for each run: {ablation.metric} against {NORM}.{selection.remark}",
            alternative=drawing.describe_numbers(f"{NORM} of each run", norms_of_all),
        ),
    )
