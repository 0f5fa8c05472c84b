"""Comparison of a variant with its baseline: differences paired by seed."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from normlab.report.statistics import ROUNDING, UNBOUNDED, Bounds, Interval, estimate_interval


@dataclass(frozen=True)
class Comparison:
    """A variant against its baseline; a positive difference means that the variant's values are larger."""

    n: int
    """Number of pairs."""
    difference: float
    interval: Interval
    effect: float
    """Mean difference in standard deviations of the differences (Cohen's d_z); nan if those are all equal."""
    wins: int
    """Number of pairs in which the variant is better."""
    improvement: float
    """Probability that a run of the variant is better than one of the baseline; ties count half."""


def compare_pairs(
    variant: ArrayLike, baseline: ArrayLike, higher_is_better: bool, bounds: Bounds = UNBOUNDED
) -> Comparison:
    """Compare two variants seed by seed: `variant[i]` and `baseline[i]` come from one seed, and lie within bounds."""
    ours, theirs = np.asarray(variant, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    differences = np.sort(ours - theirs)
    deviation = differences.std(ddof=1) if len(differences) > 1 else math.nan
    difference = float(differences.mean())
    if abs(difference) <= ROUNDING * np.abs([ours, theirs]).max():
        difference = 0.0  # a rounding error, left when differences cancel
    better = differences if higher_is_better else -differences
    return Comparison(
        n=len(differences),
        difference=difference,
        interval=estimate_interval(differences, (bounds[0] - bounds[1], bounds[1] - bounds[0])),
        effect=float(difference / deviation) if deviation > ROUNDING * abs(difference) else math.nan,
        wins=int((better > 0).sum()),
        improvement=estimate_improvement(ours, theirs, higher_is_better),
    )


def estimate_improvement(variant: ArrayLike, baseline: ArrayLike, higher_is_better: bool) -> float:
    """Return P(variant better) + P(equal) / 2 over all pairs of runs: the Mann–Whitney U over its largest value.

    Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice", 2021.
    """
    ours, theirs = np.asarray(variant), np.asarray(baseline)
    better, worse = (ours, theirs) if higher_is_better else (theirs, ours)
    return float(stats.mannwhitneyu(better, worse, method="asymptotic").statistic) / (len(ours) * len(theirs))
