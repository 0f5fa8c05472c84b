"""Selection of the variants in figures, their styles and names, and access to their results."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normlab.report.ablation import Ablation, Variant
from normlab.report.figures.drawing import LineStyle, assign_styles
from normlab.report.statistics import Summary
from normlab.report.variants import Label, format_label

MAX_VARIANTS = 8
"""Largest number of variants in a figure that remain distinguishable."""


@dataclass(frozen=True)
class Selection:
    """The variants of all figures, in the order of the ablation."""

    variants: list[Variant]
    styles: Mapping[str, LineStyle]
    """Variant name → line style."""
    ranked: list[Variant]
    """The same variants, the baseline first, then from best to worst."""
    names: Mapping[str, str]
    """Variant name → name in figures, which is shorter if the name lists several factors."""
    factors: str
    """The factors that shortened names omit; empty if names are not shortened."""
    remark: str
    """Sentence for captions about variants left out; empty if all are shown."""


def select(ablation: Ablation) -> Selection:
    """Select the best baseline, and the best of all other variants by the metric of the report."""
    variants = ablation.select_variants(MAX_VARIANTS)
    places = {variant.name: place for place, variant in enumerate(ablation.rank(ablation.metric))}
    ranked = sorted(variants, key=lambda variant: places.get(variant.name, len(places)))
    baseline = next((variant for variant in ranked if variant.is_baseline), None)
    ranked.sort(key=lambda variant: variant is not baseline)
    names = [variant.name for variant in variants]
    short, factors = shorten_names([variant.label for variant in variants])
    remark = f" {len(variants)} of {len(ablation.variants)} variants are shown: the baseline and the best by "
    return Selection(
        variants=variants,
        styles=dict(zip(names, assign_styles([variant.is_baseline for variant in variants]), strict=True)),
        ranked=ranked,
        names=dict(zip(names, short if factors else names, strict=True)),
        factors=factors,
        remark=f"{remark}{ablation.metric}." if len(variants) < len(ablation.variants) else "",
    )


def shorten_names(labels: Sequence[Label]) -> tuple[list[str], str]:
    """Return names for labels of the same factors, and the factors if the names omit them."""
    factors = list(labels[0]) if labels else []
    if factors in ([], ["normalizer"]):
        return [format_label(label) for label in labels], ""
    return [", ".join(label.values()) for label in labels], ", ".join(factors)


def get_summary(variant: Variant, metric: str) -> Summary | None:
    """Return the summary of a final metric, or None if there is none."""
    cell = variant.cells.get(metric)
    return None if cell is None else cell.summary


def get_published_value(variant: Variant, metric: str) -> float:
    """Return a published final value, or nan."""
    return _parse_number(variant.reference_figures.get(metric))


def get_published_curve(variant: Variant, metric: str) -> NDArray[np.float64]:
    """Return the published points of a curve in ascending order: an array (points, 2) of steps and values."""
    curves = variant.reference_figures.get("curves")
    points = curves.get(metric) if isinstance(curves, Mapping) else None
    items = points.items() if isinstance(points, Mapping) else ()
    numbers = sorted((_parse_number(step), _parse_number(value)) for step, value in items)  # keys of JSON are strings
    return np.array([point for point in numbers if math.isfinite(sum(point))], dtype=np.float64).reshape(-1, 2)


def _parse_number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan
