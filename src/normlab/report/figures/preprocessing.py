"""Inputs before and after preprocessing: points in the plane and a few images."""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from normlab.report.ablation import Ablation
from normlab.report.figures import drawing
from normlab.report.figures.selection import Selection

GAP = 1
"""Pixels between images."""
PERCENTILE = 99.5
"""Percentile of magnitudes drawn as black or white, since whitening produces single pixels far beyond all others."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Inputs:
    """Samples of one run as float64: points (N, 2), and images (K, C, H, W), in [0, 1] before preprocessing."""

    name: str
    cloud: Array
    cloud_after: Array
    images: Array
    images_after: Array


def draw_preprocessing(ablation: Ablation, selection: Selection) -> Iterator[drawing.Drawing]:
    """Draw a row for each preprocessing with samples from a run."""
    rows: dict[str, Inputs] = {}
    for run in (run for variant in ablation.variants for run in variant.runs):
        name = str(run.record.choices.get("preprocessing", "preprocessing"))
        if name not in rows and (inputs := _read_inputs(run.directory.inputs, name)):
            rows[name] = inputs
    if rows:
        yield _draw(list(rows.values()))


def _read_inputs(file: Path, name: str) -> Inputs | None:
    """Read the arrays, or return None if the file is missing or damaged."""
    keys = ("cloud", "cloud_after", "images", "images_after")
    try:
        with file.open("rb") as opened, np.load(opened) as content:
            cloud, cloud_after, images, images_after = (content[key].astype(np.float64) for key in keys)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
        return None
    images_after = np.nan_to_num(images_after, posinf=0.0, neginf=0.0)
    cloud, cloud_after = (points[np.isfinite(points).all(axis=1)] for points in (cloud, cloud_after))
    return Inputs(name, cloud, cloud_after, images / 255, images_after)


def _draw(rows: Sequence[Inputs]) -> drawing.Drawing:
    figure = drawing.create_canvas(drawing.DOUBLE, 0.3 + 1.5 * len(rows))
    panels = figure.subplots(len(rows), 4, squeeze=False)
    numbers: dict[str, list[float]] = {}
    for inputs, row in zip(rows, panels, strict=True):
        _draw_cloud(row[0], inputs.cloud)
        _draw_cloud(row[1], inputs.cloud_after)
        _draw_images(row[2], inputs.images)
        limit = float(np.percentile(np.abs(inputs.images_after), PERCENTILE)) or 1.0
        _draw_images(row[3], np.clip(inputs.images_after / limit, -1, 1) / 2 + 0.5)
        row[3].set_xlabel(f"black −{limit:.2g}, white {limit:.2g}")
        row[2].set_xlabel("black 0, white 1")
        row[0].set_ylabel(drawing.wrap_name(inputs.name, 1.1), fontweight="bold")
        for when, cloud in (("before", inputs.cloud), ("after", inputs.cloud_after)):
            numbers[f"{inputs.name}, cloud {when}"] = [*cloud.mean(0), *cloud.std(0)] if len(cloud) else []
        numbers[f"{inputs.name}, images after"] = [inputs.images_after.min(), inputs.images_after.max()]
    for axes, title in zip(panels[0], ("cloud before", "cloud after", "images before", "images after"), strict=True):
        axes.set_title(title)
    names = ", ".join(inputs.name for inputs in rows)
    return figure, drawing.Figure(
        name="preprocessing",
        title=f"Inputs before and after preprocessing: {names}",
        caption=f"Preprocessing by {names}, fitted to the training split: {len(rows[0].cloud)} points in the plane "
        f"and {len(rows[0].images)} images, before and after. The axes of a cloud share one scale, and the lines cross "
        "at 0. In the images after preprocessing grey is 0, and the scale is clipped at the "
        f"{PERCENTILE}th percentile of magnitudes.",
        alternative=drawing.describe_numbers(
            "Mean and standard deviation of both coordinates of each cloud, smallest and largest pixel of images",
            numbers,
        ),
    )


def _draw_cloud(axes: Axes, points: Array) -> None:
    limit = 1.12 * float(np.abs(points).max(initial=0)) or 1.0
    for draw_line in (axes.axhline, axes.axvline):
        draw_line(0, color="#666666", linewidth=0.6, zorder=1)
    alpha = max(0.1, min(0.6, 120 / max(1, len(points))))
    axes.scatter(points[:, 0], points[:, 1], s=3, color=drawing.COLOURS[0], alpha=alpha, linewidth=0, zorder=2)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        drawing.set_value_ticks(axis, 3)


def _draw_images(axes: Axes, images: Array) -> None:
    """Show images (K, C, H, W) with values in [0, 1] in a square grid."""
    axes.imshow(_tile(images), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)


def _tile(images: Array) -> Array:
    count, channels, height, width = images.shape
    tiles = images if channels == 3 else images[:, :1]
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    mosaic = np.ones((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, tiles.shape[1]))
    for place, tile in enumerate(tiles):
        top, left = place // columns * (height + GAP), place % columns * (width + GAP)
        mosaic[top : top + height, left : left + width] = tile.transpose(1, 2, 0)
    return mosaic if channels == 3 else mosaic[:, :, 0]
