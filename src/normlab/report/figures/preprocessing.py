"""What preprocessing does to inputs: a cloud in the plane and a few images, before and after."""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from normlab.report.ablation import Ablation
from normlab.report.figures.drawing import COLOURS, DOUBLE, LARGEST, Drawn, Figure, canvas, lines_of, told, value_axis

FILE = "inputs.npz"
MOST_ROWS = 8
MOST_IMAGES = 16
MOST_POINTS = 2_000
GAP = 1
"""Pixels between images."""
CLIPPED = 99.5
"""Percentile of magnitudes that is drawn black or white: whitening leaves single pixels far beyond all others."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Inputs:
    """What one run left of its inputs, as float64; images in [0, 1] before."""

    name: str
    cloud: Array
    cloud_after: Array
    images: Array
    images_after: Array


def preprocessing(ablation: Ablation) -> Iterator[Drawn]:
    """Draw a row for each preprocessing that a run has left its inputs of."""
    found: dict[str, Inputs] = {}
    for run in (run for variant in ablation.variants for run in variant.runs):
        name = str(run.record.choices.get("preprocessing", "preprocessing"))
        if name not in found and len(found) < MOST_ROWS:
            inputs = read_inputs(run.directory.path / FILE, name)
            if inputs is not None:
                found[name] = inputs
    if found:
        yield _draw(list(found.values()))


def read_inputs(file: Path, name: str) -> Inputs | None:
    """Return the arrays, or None where there is no such file or it holds something else."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as content:
            cloud, cloud_after, images, images_after = (
                np.asarray(content[key]) for key in ("cloud", "cloud_after", "images", "images_after")
            )
    except (OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error):
        return None
    arrays = (cloud, cloud_after, images, images_after)
    if any(array.dtype.kind not in "uif" or array.size == 0 for array in arrays):
        return None
    if any(array.ndim != 2 or array.shape[1] != 2 for array in (cloud, cloud_after)):
        return None
    if images.ndim != 4 or images_after.shape != images.shape:
        return None
    return Inputs(
        name,
        _points(cloud),
        _points(cloud_after),
        images[:MOST_IMAGES].astype(np.float64) / 255,
        np.nan_to_num(images_after[:MOST_IMAGES].astype(np.float64), posinf=0.0, neginf=0.0),
    )


def _points(cloud: NDArray[Any]) -> Array:
    found = cloud[:: max(1, len(cloud) // MOST_POINTS)].astype(np.float64)
    return found[(np.abs(found) < LARGEST).all(axis=1)]


def _draw(rows: Sequence[Inputs]) -> Drawn:
    figure = canvas(DOUBLE, 0.3 + min(1.5, 9 / len(rows)) * len(rows))
    panels = figure.subplots(len(rows), 4, squeeze=False)
    for inputs, row in zip(rows, panels, strict=True):
        _cloud(row[0], inputs.cloud)
        _cloud(row[1], inputs.cloud_after)
        _images(row[2], inputs.images)
        limit = float(np.percentile(np.abs(inputs.images_after), CLIPPED)) or 1.0
        _images(row[3], np.clip(inputs.images_after / limit, -1, 1) / 2 + 0.5)
        row[3].set_xlabel(f"black −{limit:.2g}, white {limit:.2g}")
        row[2].set_xlabel("black 0, white 1")
        row[0].set_ylabel(lines_of(inputs.name, 1.1), fontweight="bold")
    for axes, title in zip(panels[0], ("cloud before", "cloud after", "images before", "images after"), strict=True):
        axes.set_title(title)
    names = ", ".join(inputs.name for inputs in rows)
    return figure, Figure(
        name="preprocessing",
        title=f"Inputs before and after preprocessing: {names}",
        caption=(
            f"Preprocessing by {names}, fitted to the training split: {len(rows[0].cloud)} points in the plane and "
            f"{len(rows[0].images)} images, before and after. Both axes have one scale and cross at 0; grey is 0 in "
            f"the images after, whose scale is clipped at the {CLIPPED}th percentile of magnitudes."
        ),
        alternative=" ".join(_words(inputs) for inputs in rows),
    )


def _cloud(axes: Axes, points: Array) -> None:
    limit = 1.12 * float(np.abs(points).max()) if points.size else 1.0
    limit = limit or 1.0
    for line in (axes.axhline, axes.axvline):
        line(0, color="#666666", linewidth=0.6, zorder=1)
    alpha = max(0.1, min(0.6, 120 / max(1, len(points))))
    dots = axes.scatter(points[:, 0], points[:, 1], s=3, color=COLOURS[0], alpha=alpha, linewidth=0, zorder=2)
    dots.set_rasterized(len(points) > 500)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        value_axis(axis, 3)


def _images(axes: Axes, images: Array) -> None:
    """Show images (K, C, H, W) with values in [0, 1] side by side in a square."""
    axes.imshow(_mosaic(images), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)


def _mosaic(images: Array) -> Array:
    count, channels, height, width = images.shape
    tiles = images if channels == 3 else images[:, :1]
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    mosaic = np.ones((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, tiles.shape[1]))
    for place, tile in enumerate(tiles):
        top, left = place // columns * (height + GAP), place % columns * (width + GAP)
        mosaic[top : top + height, left : left + width] = tile.transpose(1, 2, 0)
    return mosaic if channels == 3 else mosaic[:, :, 0]


def _words(inputs: Inputs) -> str:
    told_of = []
    for when, cloud in (("before", inputs.cloud), ("after", inputs.cloud_after)):
        if len(cloud):
            mean, deviation = cloud.mean(axis=0), cloud.std(axis=0)
            told_of.append(
                f"{when} it the cloud has mean ({told(mean[0])}, {told(mean[1])}) "
                f"and standard deviation ({told(deviation[0])}, {told(deviation[1])})"
            )
    after = inputs.images_after
    return (
        f"{inputs.name}: {', '.join([*told_of, f'images after it span {told(after.min())} to {told(after.max())}'])}."
    )
