"""Rank variants, and select those to show if not all of them fit."""

from normlab.report.ablation import Ablation, Variant, higher_is_better


def rank(ablation: Ablation, metric: str) -> list[Variant]:
    """Return the variants with a value of the metric, the best mean first."""
    sign = -1 if higher_is_better(metric) else 1
    means = [
        (sign * cell.summary.mean, place)
        for place, variant in enumerate(ablation.variants)
        if (cell := variant.cells.get(metric)) is not None and cell.summary is not None
    ]
    return [ablation.variants[place] for _, place in sorted(means)]


def select_variants(ablation: Ablation, most: int) -> list[Variant]:
    """Return at most `most` variants in their order: all, or the best baseline and the best of the others."""
    if len(ablation.variants) <= most:
        return ablation.variants
    ranked = [*rank(ablation, ablation.metric), *ablation.variants]
    baseline = [variant for variant in ranked if variant.is_baseline][:1]
    kept = list(dict.fromkeys(id(variant) for variant in [*baseline, *ranked]))[:most]
    return [variant for variant in ablation.variants if id(variant) in set(kept)]
