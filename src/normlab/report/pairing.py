"""Compare every variant with its baseline, paired by seed if they share seeds."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from normlab.report.ablation import SIGNIFICANCE_LEVEL, Cell, Variant
from normlab.report.comparison import (
    adjust_by_holm,
    compare_pairs,
    compare_unpaired,
    compute_paired_p,
    compute_unpaired_p,
)
from normlab.report.variants import format_label

MIXED = ("torch", "cpu", "device")
"""Parts of the environment on which a difference can depend."""


def compare(variants: Sequence[Variant], metrics: Sequence[str], baseline: Mapping[str, str]) -> list[str]:
    """Set `against` of each variant, and comparison and p of its cells; return notes on them."""
    by_label = {tuple(variant.label.items()): variant for variant in variants}
    notes = []
    compared: list[tuple[Cell, np.ndarray[Any, Any] | float]] = []
    for variant in variants:
        label = {**variant.label, **baseline}  # the same variant, but with the baseline's values
        rival = by_label.get(tuple(label.items()))
        if rival is None:
            notes.append(f"{variant.name}: its baseline {format_label(label)} was not run.")
        if rival is None or rival is variant:
            continue
        variant.against = rival.name
        notes += _describe_mixture(variant, rival)
        ours = {run.record.seed for run in variant.finished}
        theirs = {run.record.seed for run in rival.finished}
        for metric in metrics:
            mine, other = variant.values(metric), rival.values(metric)
            shared = sorted(mine.keys() & other.keys())
            cell = variant.cells[metric]
            if len(shared) > 1:
                pairs = np.array([[mine[seed], other[seed]] for seed in shared])
                cell.comparison = compare_pairs(pairs[:, 0], pairs[:, 1], cell.higher_is_better)
                compared.append((cell, pairs[:, 0] - pairs[:, 1]))
            elif mine and other:
                sides = list(mine.values()), list(other.values())
                cell.comparison = compare_unpaired(*sides, cell.higher_is_better)
                compared.append((cell, compute_unpaired_p(*sides)))
        if ours and theirs and ours != theirs:
            how = "did not finish with the same seeds: they are compared over the {} seeds they share."
            if len(ours & theirs) < 2:
                how = "share fewer than two seeds: they are compared unpaired."
            notes.append(f"{variant.name} and {rival.name} {how.format(len(ours & theirs))}")
    paired = iter(compute_paired_p([values for _, values in compared if not isinstance(values, float)]))
    for cell, values in compared:
        cell.p = values if isinstance(values, float) else next(paired)
    for (cell, _), adjusted in zip(compared, adjust_by_holm([cell.p for cell, _ in compared]), strict=True):
        cell.adjusted_p = adjusted
    return notes + _describe_power([cell for cell, _ in compared])


def _describe_mixture(variant: Variant, rival: Variant) -> list[str]:
    """Return a note if code, torch or kind of processor differ between the two sides of a comparison."""
    both = [run.record for run in (*variant.finished, *rival.finished)]
    mixed = [key for key in MIXED if len({record.environment.get(key) for record in both}) > 1]
    digests: dict[str, set[str]] = {}
    for name, digest in (item for record in both for item in record.sources.items()):
        digests.setdefault(name, set()).add(digest)
    mixed += [f"the code of {name}" for name, found in digests.items() if len(found) > 1]
    if not mixed:
        return []
    return [f"{variant.name} and {rival.name} were not trained alike: they differ in {', '.join(mixed)}."]


def _describe_power(compared: Sequence[Cell]) -> list[str]:
    """Return a note if there are too few seeds for any difference to be significant."""
    pairs = [cell.comparison.n for cell in compared if cell.comparison and cell.comparison.paired]
    tests = sum(not math.isnan(cell.p) for cell in compared)
    if not pairs or tests * 2 / 2 ** max(pairs) < SIGNIFICANCE_LEVEL:
        return []
    enough = next(n for n in range(2, 64) if tests * 2 / 2**n < SIGNIFICANCE_LEVEL)
    return [
        f"With {max(pairs)} seeds the exact test gives no p below {2 / 2 ** max(pairs):.3g}, and after correction for"
        f" {tests} tests none below 0.05, however large the differences are: at least {enough} seeds are needed. The"
        " intervals and probabilities of improvement are valid nevertheless."
    ]
