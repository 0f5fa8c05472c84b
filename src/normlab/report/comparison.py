"""Comparisons of two variants: differences paired by seed, permutation tests, effect sizes, Holm's correction."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from normlab.report.statistics import CONFIDENCE, RESAMPLES, ROUNDING, Interval, Values, estimate_interval

MAX_EXACT_TEST = 2**15
"""Number of rearrangements up to which a permutation test is exact; of more, it draws `RESAMPLES`."""


@dataclass(frozen=True)
class Comparison:
    """A variant against its baseline; a positive difference means that the variant's values are larger."""

    n: int
    """Number of pairs; if unpaired, number of runs of the smaller side."""
    paired: bool
    difference: float
    interval: Interval
    effect: float
    """Mean difference in standard deviations: of the differences if paired (Cohen's d_z), else pooled (d)."""
    improvement: float
    """Probability that a run of the variant is better than one of the baseline; ties count half."""


def compare_pairs(variant: ArrayLike, baseline: ArrayLike, higher_is_better: bool) -> Comparison:
    """Compare two variants seed by seed: `variant[i]` and `baseline[i]` come from one seed."""
    ours, theirs = np.asarray(variant, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    differences = np.sort(ours - theirs)
    deviation = differences.std(ddof=1) if len(differences) > 1 else math.nan
    difference = float(differences.mean())
    if abs(difference) <= ROUNDING * np.abs([ours, theirs]).max():
        difference = 0.0  # a rounding error, left when differences cancel
    return Comparison(
        n=len(differences),
        paired=True,
        difference=difference,
        interval=estimate_interval(differences),
        effect=_compute_effect(difference, deviation),
        improvement=estimate_improvement(ours, theirs, higher_is_better),
    )


def compare_unpaired(variant: ArrayLike, baseline: ArrayLike, higher_is_better: bool) -> Comparison:
    """Compare two variants that share too few seeds to be paired; the interval is Welch's."""
    ours, theirs = (np.sort(np.asarray(values, dtype=np.float64)) for values in (variant, baseline))
    smaller = min(len(ours), len(theirs))
    difference = float(ours.mean() - theirs.mean())
    if smaller < 2:
        interval = Interval(math.nan, math.nan, "none: one run")
    elif np.ptp(ours) + np.ptp(theirs) == 0:
        interval = Interval(difference, difference, "all values equal")
    else:
        welch = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(CONFIDENCE)
        interval = Interval(float(welch.low), float(welch.high), "Welch's t")
    degrees = len(ours) + len(theirs) - 2
    squares = sum(((values - values.mean()) ** 2).sum() for values in (ours, theirs))
    return Comparison(
        n=smaller,
        paired=False,
        difference=difference,
        interval=interval,
        effect=_compute_effect(difference, math.sqrt(squares / degrees) if degrees else math.nan),
        improvement=estimate_improvement(ours, theirs, higher_is_better),
    )


def compute_paired_p(differences: Sequence[ArrayLike]) -> list[float]:
    """Return the two-sided p of each comparison: the share of sign flips that make its mean difference as large.

    Up to n = 15, all 2ⁿ ways to flip the signs of n differences are taken, which is exact: n pairs give no p below
    2 / 2ⁿ. Fewer than two pairs give nan. Comparisons with equal n share the flips, which take most of the time.
    """
    p_values = [math.nan] * len(differences)
    by_size: dict[int, list[int]] = {}
    for place, values in enumerate(differences):
        by_size.setdefault(np.size(values), []).append(place)
    for size, places in by_size.items():
        if size > 1:
            result = stats.permutation_test(
                (np.array([_normalize(differences[place]) for place in places]),),
                lambda each, axis: np.round(np.mean(each, axis=axis), 9),  # rounding errors would separate ties
                permutation_type="samples",
                n_resamples=math.inf if 2**size <= MAX_EXACT_TEST else RESAMPLES,
                vectorized=True,
                axis=1,
                batch=512,  # larger ones do not fit the cache and take ten times as long
                rng=np.random.default_rng(0),
            )
            for place, p in zip(places, result.pvalue, strict=True):
                p_values[place] = float(p)
    return p_values


def compute_unpaired_p(variant: ArrayLike, baseline: ArrayLike) -> float:
    """Return the two-sided p of the permutation test that reassigns all runs to two sides; nan for one run each."""
    ours, theirs = (np.sort(np.asarray(values, dtype=np.float64)) for values in (variant, baseline))
    if min(len(ours), len(theirs)) < 2:
        return math.nan
    result = stats.permutation_test(
        (ours, theirs),
        lambda x, y, axis: np.mean(x, axis=axis),  # ranks assignments like the difference; scipy then sees the ties
        permutation_type="independent",
        n_resamples=math.inf if math.comb(len(ours) + len(theirs), len(ours)) <= MAX_EXACT_TEST else RESAMPLES,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def estimate_improvement(variant: ArrayLike, baseline: ArrayLike, higher_is_better: bool) -> float:
    """Return P(variant better) + P(equal) / 2 over all pairs of runs: the Mann–Whitney U over its largest value.

    Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice", 2021.
    """
    ours, theirs = np.asarray(variant), np.asarray(baseline)
    better, worse = (ours, theirs) if higher_is_better else (theirs, ours)
    return float(stats.mannwhitneyu(better, worse, method="asymptotic").statistic) / (len(ours) * len(theirs))


def adjust_by_holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for multiple testing (Holm, 1979), in the same order; nan counts as no test.

    scipy adjusts for the false discovery rate only.
    """
    tested = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p))
        adjusted[place] = largest
    return adjusted


def _compute_effect(difference: float, deviation: float) -> float:
    return float(difference / deviation) if deviation > ROUNDING * abs(difference) else math.nan


def _normalize(differences: ArrayLike) -> Values:
    """Return differences in an order, sign and scale that do not depend on those of the argument."""
    values = np.asarray(differences, dtype=np.float64)
    values = values * (-1 if values.sum() < 0 else 1)
    ordered: Values = values[np.lexsort((values, np.abs(values)))]
    return ordered / np.abs(values).max() if values.any() else ordered
