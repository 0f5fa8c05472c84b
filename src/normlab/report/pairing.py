"""Compare every variant with its baseline, paired by seed."""

from collections.abc import Mapping, Sequence

from normlab.report.ablation import Variant
from normlab.report.statistics import compare_pairs
from normlab.report.variants import format_label

Note = tuple[str, str]
"""The name of a variant, and a sentence about it."""
MIXED = ("torch", "cpu", "device")
"""Parts of the environment on which a difference can depend."""


def compare(variants: Sequence[Variant], metrics: Sequence[str], baseline: Mapping[str, str]) -> list[Note]:
    """Set `against` of each variant, and the comparison of its cells; return notes on them."""
    by_label = {tuple(variant.label.items()): variant for variant in variants}
    notes = []
    for variant in variants:
        label = {**variant.label, **baseline}  # the same variant, but with the baseline's values
        rival = by_label.get(tuple(label.items()))
        if rival is None:
            notes.append((variant.name, f"its baseline {format_label(label)} was not run."))
        if rival is None or rival is variant:
            continue
        variant.against = rival.name
        notes += _describe_mixture(variant, rival)
        ours = {run.record.seed for run in variant.complete_runs}
        theirs = {run.record.seed for run in rival.complete_runs}
        for metric in metrics:
            mine, other = variant.values(metric), rival.values(metric)
            shared = sorted(mine.keys() & other.keys())
            cell = variant.cells[metric]
            if shared:
                sides = [mine[seed] for seed in shared], [other[seed] for seed in shared]
                cell.comparison = compare_pairs(*sides, cell.higher_is_better, cell.bounds)
        if ours and theirs and ours != theirs:
            how = f"they are compared over the {len(ours & theirs)} seeds they share."
            if not ours & theirs:
                how = "they share none, so they are not compared."
            notes.append((variant.name, f"it did not finish with the same seeds as {rival.name}: {how}"))
    return notes


def _describe_mixture(variant: Variant, rival: Variant) -> list[Note]:
    """Return a note if code, torch or kind of processor differ between the two sides of a comparison."""
    both = [run.record for run in (*variant.complete_runs, *rival.complete_runs)]
    mixed = [key for key in MIXED if len({record.environment.get(key) for record in both}) > 1]
    digests: dict[str, set[str]] = {}
    for name, digest in (item for record in both for item in record.sources.items()):
        digests.setdefault(name, set()).add(digest)
    mixed += [f"the code of {name}" for name, found in digests.items() if len(found) > 1]
    if not mixed:
        return []
    return [(variant.name, f"it was not trained like {rival.name}: they differ in {', '.join(mixed)}.")]
