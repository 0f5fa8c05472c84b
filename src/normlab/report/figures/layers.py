"""Observations at the normalizers of one run of each variant."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from normlab.report.ablation import Variant
from normlab.report.figures import drawing
from normlab.report.figures.selection import Selection
from normlab.report.load import LARGEST, NORMALIZER_ROWS, Run, read_metrics

MAX_LAYERS = 4
MAX_COLUMNS = 4
"""Largest number of variants side by side."""

Points = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Steps and values."""


@dataclass(frozen=True)
class Observations:
    """One run and its observations: (layer, quantity) → points."""

    variant: Variant
    seed: int
    points: dict[tuple[str, str], Points]

    def list_layers(self, quantities: Sequence[str]) -> list[str]:
        """List the layers with any of these quantities, in network order."""
        return list(dict.fromkeys(layer for layer, quantity in self.points if quantity in quantities))


def select_columns(quantities: Sequence[str], selection: Selection) -> list[Observations]:
    """Read one run of each of the best few variants with any of these quantities, in the order of all figures."""
    runs = (
        Observations(variant, run.record.seed, _read_points(run)) for variant, run in _choose_runs(selection.ranked)
    )
    columns = islice((run for run in runs if run.list_layers(quantities)), MAX_COLUMNS)
    return sorted(columns, key=lambda run: selection.variants.index(run.variant))


def select_layers(columns: Sequence[Observations], quantities: Sequence[str]) -> list[str]:
    """Return the first, the last and evenly spaced layers of all columns."""
    layers = list(dict.fromkeys(layer for run in columns for layer in run.list_layers(quantities)))
    places = np.unique(np.linspace(0, len(layers) - 1, MAX_LAYERS).round().astype(int))
    return [layers[place] for place in places]


def describe_runs(columns: Sequence[Observations], selection: Selection) -> str:
    """Name the seeds and, if not all variants are shown, the number of columns."""
    text = f"seed {columns[0].seed}"
    if len({run.seed for run in columns}) > 1:
        text = ", ".join(f"seed {run.seed} of {run.variant.name}" for run in columns)
    more = f" {len(columns)} of the variants in other figures have a column." if selection.remark else ""
    return f"One run each, {text}, so there is no interval.{more}"


def describe_last_values(
    title: str, columns: Sequence[Observations], layers: Sequence[str], quantities: Sequence[str]
) -> str:
    """Compose an alternative text with the last value of each quantity, for each variant and layer."""
    numbers = {
        f"{run.variant.name}, {layer}:": [
            run.points[layer, quantity][1][-1] for quantity in quantities if (layer, quantity) in run.points
        ]
        for run in columns
        for layer in layers
    }
    return drawing.describe_numbers(f"{title} at the last step", numbers)


def _choose_runs(variants: Sequence[Variant]) -> Iterator[tuple[Variant, Run]]:
    """Yield a finished run of each variant, with the seed that most variants share, or the smallest of several."""
    finished = [{run.record.seed: run for run in variant.complete_runs} for variant in variants]
    shared = Counter(seed for runs in finished for seed in runs)
    for variant, runs in zip(variants, finished, strict=True):
        if runs:
            yield variant, runs[min(runs, key=lambda seed: (-shared[seed], seed))]


def _read_points(run: Run) -> dict[tuple[str, str], Points]:
    rows = read_metrics(run.directory, [])
    rows = rows[rows["name"].str.startswith(NORMALIZER_ROWS) & (rows["value"].abs() < LARGEST)]
    rows = rows.drop_duplicates(["name", "step"], keep="last").sort_values("step", kind="stable")
    points = {}
    for name, group in rows.groupby("name", sort=False):
        layer, _, quantity = str(name).removeprefix(NORMALIZER_ROWS).rpartition("/")
        steps, values = group[["step", "value"]].to_numpy(dtype=np.float64).T
        points[layer, quantity] = steps, values
    return points
