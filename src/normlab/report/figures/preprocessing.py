"""Inputs before and after preprocessing: points in the plane and a few images."""

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from normlab.report.ablation import Ablation
from normlab.report.figures import drawing
from normlab.report.figures.selection import Selection
from normlab.report.statistics import Values

PERCENTILE = 99.5
"""Percentile of magnitudes drawn as black or white, since whitening produces single pixels far beyond all others."""

Samples = Mapping[str, Values]
"""Points `cloud` and `cloud_after` (N, 2), `images` (K, C, H, W) in [0, 1] and `images_after`."""


def draw_preprocessing(ablation: Ablation, selection: Selection) -> Iterator[drawing.Drawing]:
    """Draw a row for each preprocessing with samples from a run."""
    rows: dict[str, Samples] = {}
    for run in (run for variant in ablation.variants for run in variant.runs):
        name = str(run.record.choices.get("preprocessing", "preprocessing"))
        if name not in rows and (samples := _read_samples(run.directory.inputs)):
            rows[name] = samples
    if rows:
        yield drawing.Drawing(
            _draw(rows),
            name="preprocessing",
            title=f"Inputs before and after preprocessing: {', '.join(rows)}",
            caption="Points in the plane and training images. After preprocessing, grey is 0, and the largest 0.5 % of "
            "magnitudes are black or white.",
            numbers={
                f"{name}, images after": (pixels.mean(), pixels.min(), pixels.max())
                for name, pixels in ((name, samples["images_after"]) for name, samples in rows.items())
            },
        )


def _read_samples(file: Path) -> Samples:
    """Read the arrays; return nothing if the file is missing or damaged."""
    try:
        with file.open("rb") as opened, np.load(opened) as content:
            keys = ("cloud", "cloud_after", "images", "images_after")
            samples = {key: np.nan_to_num(content[key].astype(np.float64), posinf=0.0, neginf=0.0) for key in keys}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
        return {}
    return {**samples, "images": samples["images"] / 255}


def _draw(rows: Mapping[str, Samples]) -> Canvas:
    canvas = drawing.create_canvas(drawing.DOUBLE, 0.3 + 1.5 * len(rows))
    panels = canvas.subplots(len(rows), 4, squeeze=False)
    for (name, samples), row in zip(rows.items(), panels, strict=True):
        _draw_cloud(row[0], samples["cloud"])
        _draw_cloud(row[1], samples["cloud_after"])
        _draw_images(row[2], samples["images"], 0, 1)
        limit = float(np.percentile(np.abs(samples["images_after"]), PERCENTILE)) or 1.0
        _draw_images(row[3], samples["images_after"], -limit, limit)
        row[0].set_ylabel(drawing.wrap_name(name, 1.1), fontweight="bold")
    for axes, title in zip(panels[0], ("cloud before", "cloud after", "images before", "images after"), strict=True):
        axes.set_title(title)
    return canvas


def _draw_cloud(axes: Axes, points: Values) -> None:
    limit = 1.12 * float(np.abs(points).max(initial=0)) or 1.0
    for draw_line in (axes.axhline, axes.axvline):
        draw_line(0, color="#666666", linewidth=0.6, zorder=1)
    axes.scatter(points[:, 0], points[:, 1], s=3, color=drawing.COLOURS[0], alpha=0.3, linewidth=0, zorder=2)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    axes.locator_params(nbins=3)


def _draw_images(axes: Axes, images: Values, low: float, high: float) -> None:
    """Show images (K, C, H, W) in a square grid, with a white line between them."""
    count, channels, *_ = images.shape
    columns = math.ceil(math.sqrt(count))
    shades = np.clip((images if channels == 3 else images[:, :1]) - low, 0, high - low) / (high - low)
    tiles = np.pad(shades, ((0, -count % columns), (0, 0), (0, 1), (0, 1)), constant_values=1)
    _, channels, height, width = tiles.shape
    grid = tiles.reshape(-1, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    axes.imshow(
        grid.reshape(-1, columns * width, channels)[:-1, :-1], cmap="gray", vmin=0, vmax=1, interpolation="nearest"
    )
    axes.set(xticks=[], yticks=[], xlabel=f"black {low:.2g}, white {high:.2g}".replace("-", "−"))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
