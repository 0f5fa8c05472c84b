"""The variants in figures, with their styles, names and published values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from normlab.report.ablation import Ablation, Variant
from normlab.report.figures.drawing import LineStyle, assign_styles
from normlab.report.statistics import Values

MAX_VARIANTS = 24
"""Largest number of variants in a figure that remain distinguishable."""


@dataclass(frozen=True)
class Selection:
    """The variants of all figures, in the order of the ablation."""

    variants: list[Variant]
    styles: Mapping[str, LineStyle]
    """Variant name → line style."""
    names: Mapping[str, str]
    """Variant name → the values of its factors."""
    factors: str
    """Title of their legend; empty if only normalizers differ."""


def select(ablation: Ablation) -> Selection:
    """Select all variants; of too many, the best baseline and the best others by the metric of the report."""
    variants = ablation.select_variants(MAX_VARIANTS)
    styles = assign_styles([variant.is_baseline for variant in variants])
    return Selection(
        variants=variants,
        styles={variant.name: style for variant, style in zip(variants, styles, strict=True)},
        names={variant.name: ", ".join(variant.label.values()) or variant.name for variant in variants},
        factors=join_factors(ablation.factors),
    )


def join_factors(factors: Sequence[str]) -> str:
    """Return the title of a legend of values of factors; normalizers alone need none."""
    return "" if factors == ["normalizer"] else ", ".join(factors)


def get_published_value(variant: Variant, metric: str) -> float:
    """Return a published final value, or nan."""
    reproduction = variant.cells[metric].reproduction
    return reproduction.published if reproduction else math.nan


def get_published_curve(variant: Variant, metric: str) -> Values:
    """Return the published points of a curve in ascending order: an array (points, 2) of steps and values."""
    points = (variant.reference_figures.get("curves") or {}).get(metric) or {}
    numbers = sorted((float(step), float(value)) for step, value in points.items())  # keys of JSON are strings
    return np.array(numbers, dtype=np.float64).reshape(-1, 2)
