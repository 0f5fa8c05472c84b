"""Which variants figures show, how each looks in all of them, and what was published of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from normlab.report.ablation import Ablation, Variant
from normlab.report.figures.drawing import LARGEST, Look, looks
from normlab.report.ranking import ranking, that_fit
from normlab.report.variants import Label, name_of

MOST = 8
"""Variants of one figure: more can no longer be told apart."""


@dataclass(frozen=True)
class Selection:
    """The variants of all figures, in the order of the ablation."""

    variants: list[Variant]
    looks: Mapping[str, Look]
    """By the name of the variant."""
    ranked: list[Variant]
    """The same variants, the baseline first, then from the best to the worst."""
    names: Mapping[str, str]
    """What the variants are called in figures: the values of their factors, where it takes long to name these too."""
    factors: str
    """The factors that such names leave out; empty where they do not."""
    remark: str
    """What captions say of variants left out; empty where there are none."""


def select(ablation: Ablation) -> Selection:
    """Choose the baseline (the best of several) and the best of all others by the metric of the report."""
    variants = that_fit(ablation, MOST)
    places = {variant.name: place for place, variant in enumerate(ranking(ablation, ablation.metric))}
    ranked = sorted(variants, key=lambda variant: places.get(variant.name, len(places)))
    baseline = next((variant for variant in ranked if variant.is_baseline), None)
    ranked.sort(key=lambda variant: variant is not baseline)
    styles = looks([variant.is_baseline for variant in variants])
    short, factors = short_names([variant.label for variant in variants])
    if not factors:
        short = [variant.name for variant in variants]
    return Selection(
        variants=variants,
        looks={variant.name: look for variant, look in zip(variants, styles, strict=True)},
        ranked=ranked,
        names={variant.name: name for variant, name in zip(variants, short, strict=True)},
        factors=factors,
        remark=f" {remark_of(len(variants), len(ablation.variants), ablation.metric)}".rstrip(),
    )


def short_names(labels: Sequence[Label]) -> tuple[list[str], str]:
    """Return names for labels of the same factors, and the factors where the names do not name them."""
    factors = list(labels[0]) if labels else []
    if factors in ([], ["normalizer"]):
        return [name_of(label) for label in labels], ""
    return [", ".join(label.values()) for label in labels], ", ".join(factors)


def remark_of(shown: int, total: int, metric: str) -> str:
    """Return what a caption says where not all variants are shown."""
    if shown == total:
        return ""
    return f"{shown} of {total} variants are shown: the baseline and the best by {metric}."


def published_value(variant: Variant, metric: str) -> float:
    """Return a published final value, or nan."""
    return _number(variant.published.get(metric))


def published_curve(variant: Variant, metric: str) -> dict[float, float]:
    """Return the published points of a curve: step → value."""
    curves = variant.published.get("curves")
    points = curves.get(metric) if isinstance(curves, Mapping) else None
    if not isinstance(points, Mapping):
        return {}
    found = {_number(step): _number(value) for step, value in points.items()}  # keys of JSON are texts
    return {step: found[step] for step in sorted(found) if math.isfinite(step + found[step])}


def _number(value: Any) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return found if abs(found) < LARGEST else math.nan
