"""What one run of each variant has seen at its normalizers."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from normlab.report.ablation import Variant
from normlab.report.figures.drawing import LARGEST
from normlab.report.figures.selection import Selection
from normlab.report.load import NORMALIZER_ROWS, Run, read_metrics

MOST_LAYERS = 4
MOST_COLUMNS = 4
"""Variants that stand side by side."""

Points = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Steps and values."""


@dataclass(frozen=True)
class Watched:
    """One run, and what it has observed: (block, quantity) → points."""

    variant: Variant
    seed: int
    points: dict[tuple[str, str], Points]

    def blocks(self, quantities: Sequence[str]) -> list[str]:
        """Return the blocks that have any of these quantities, as they follow each other in the network."""
        return in_order([block for block, quantity in self.points if quantity in quantities])


def watch(selection: Selection) -> list[Watched]:
    """Read one run of each variant, the baseline first, then from the best to the worst."""
    return [Watched(variant, run.record.seed, _points(run)) for variant, run in _like_seeds(selection.ranked)]


def columns_of(watched: Sequence[Watched], quantities: Sequence[str], selection: Selection) -> list[Watched]:
    """Return the first few that have any of these quantities, in the order of all figures."""
    found = [each for each in watched if each.blocks(quantities)][:MOST_COLUMNS]
    names = list(selection.looks)
    return sorted(found, key=lambda each: names.index(each.variant.name))


def layers_of(columns: Sequence[Watched], quantities: Sequence[str]) -> list[str]:
    """Return the first, the last and evenly spaced blocks of all columns."""
    blocks = in_order([block for each in columns for block in each.blocks(quantities)])
    places = np.unique(np.linspace(0, len(blocks) - 1, MOST_LAYERS).round().astype(int))
    return [blocks[place] for place in places]


def in_order(blocks: Sequence[str]) -> list[str]:
    """Return the distinct blocks: parts of the network as they come, and within each by number, 2 before 10."""
    parts = list(dict.fromkeys(block.partition(".")[0] for block in blocks))

    def place(block: str) -> tuple[int, list[tuple[int, str]]]:
        pieces = re.findall(r"([0-9]+)|([^0-9]+)", block)
        return parts.index(block.partition(".")[0]), [(int(digits or -1), word) for digits, word in pieces]

    return sorted(dict.fromkeys(blocks), key=place)


def seeds_in_words(columns: Sequence[Watched]) -> str:
    """Return `seed 0`, or which variant has which."""
    if len({each.seed for each in columns}) == 1:
        return f"seed {columns[0].seed}"
    return ", ".join(f"seed {each.seed} of {each.variant.name}" for each in columns)


def _like_seeds(variants: Sequence[Variant]) -> Iterator[tuple[Variant, Run]]:
    """Yield a finished run of each variant: of the seed that most of them have, the smallest of those."""
    finished = [{run.record.seed: run for run in variant.finished} for variant in variants]
    shared = Counter(seed for runs in finished for seed in runs)
    for variant, runs in zip(variants, finished, strict=True):
        if runs:
            yield variant, runs[min(runs, key=lambda seed: (-shared[seed], seed))]


def _points(run: Run) -> dict[tuple[str, str], Points]:
    rows = read_metrics(run.directory, [])
    rows = rows[rows["name"].str.startswith(NORMALIZER_ROWS) & (rows["value"].abs() < LARGEST)]
    rows = rows.drop_duplicates(["name", "step"], keep="last")
    found = {}
    for name, own in rows.groupby("name", sort=False):
        block, _, quantity = str(name).removeprefix(NORMALIZER_ROWS).rpartition("/")
        ordered = own.sort_values("step", kind="stable")
        found[block, quantity] = (
            ordered["step"].to_numpy(dtype=np.float64),
            ordered["value"].to_numpy(dtype=np.float64),
        )
    return found
