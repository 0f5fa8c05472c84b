"""Comparison of two variants: differences paired by seed, permutation tests, effect sizes, multiple testing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from normlab.report.statistics import CONFIDENCE, RESAMPLES, ROUNDING, Interval, Values, estimate_interval

LARGEST_EXACT_TEST = 2**15
"""Largest number of permutations that are all computed; a larger test draws `RESAMPLES` of them."""


@dataclass(frozen=True)
class Comparison:
    """Comparison of a variant with its baseline; positive differences mean larger values of the variant."""

    n: int
    """Number of pairs, or of runs of the smaller side if unpaired."""
    paired: bool
    difference: float
    interval: Interval
    effect: float
    """Mean difference in standard deviations of the differences (Cohen's d_z), or pooled ones (d) if unpaired."""
    improvement: float
    """Probability that a run of the variant is better than one of the baseline; ties count half."""


def compare_pairs(variant: ArrayLike, baseline: ArrayLike, higher_is_better: bool) -> Comparison:
    """Compare two variants seed by seed: `variant[i]` and `baseline[i]` come from one seed."""
    ours, theirs = np.asarray(variant, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    differences = np.sort(ours - theirs)
    deviation = differences.std(ddof=1) if len(differences) > 1 else math.nan
    difference = float(differences.mean())
    if abs(difference) <= ROUNDING * np.abs([ours, theirs]).max():
        difference = 0.0  # rounding error of differences that cancel
    return Comparison(
        n=len(differences),
        paired=True,
        difference=difference,
        interval=estimate_interval(differences),
        effect=_divide(difference, deviation),
        improvement=estimate_improvement(ours, theirs, higher_is_better),
    )


def compare_unpaired(variant: ArrayLike, baseline: ArrayLike, higher_is_better: bool) -> Comparison:
    """Compare two variants that share fewer than two seeds; the interval is Welch's."""
    ours, theirs = (np.sort(np.asarray(values, dtype=np.float64)) for values in (variant, baseline))
    smaller = min(len(ours), len(theirs))
    difference = float(ours.mean() - theirs.mean())
    if smaller < 2:
        interval = Interval(math.nan, math.nan, "none: one run")
    elif np.ptp(ours) + np.ptp(theirs) == 0:
        interval = Interval(difference, difference, "all values equal")
    else:
        found = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(CONFIDENCE)
        interval = Interval(float(found.low), float(found.high), "Welch's t")
    degrees = len(ours) + len(theirs) - 2
    squares = sum(((values - values.mean()) ** 2).sum() for values in (ours, theirs))
    return Comparison(
        n=smaller,
        paired=False,
        difference=difference,
        interval=interval,
        effect=_divide(difference, math.sqrt(squares / degrees) if degrees else math.nan),
        improvement=estimate_improvement(ours, theirs, higher_is_better),
    )


def compute_paired_p(differences: Sequence[ArrayLike]) -> list[float]:
    """Return the two-sided p-value of the sign-flip permutation test of each comparison.

    The test is exact up to n = 15 pairs, with all 2ⁿ sign flips, so p is at least 2 / 2ⁿ; it is nan for fewer than
    two pairs. Comparisons with the same n share the flips, whose computation takes most of the time.
    """
    found = [math.nan] * len(differences)
    by_size: dict[int, list[int]] = {}
    for place, values in enumerate(differences):
        by_size.setdefault(np.size(values), []).append(place)
    for size, places in by_size.items():
        if size > 1:
            p_values = stats.permutation_test(
                (np.array([_normalize(differences[place]) for place in places]),),
                lambda each, axis: np.round(np.mean(each, axis=axis), 9),  # keeps ties despite rounding
                permutation_type="samples",
                n_resamples=math.inf if 2**size <= LARGEST_EXACT_TEST else RESAMPLES,
                vectorized=True,
                axis=1,
                batch=512,  # larger batches leave the cache and take ten times as long
                rng=np.random.default_rng(0),
            ).pvalue
            for place, p in zip(places, p_values, strict=True):
                found[place] = float(p)
    return found


def compute_unpaired_p(variant: ArrayLike, baseline: ArrayLike) -> float:
    """Return the two-sided p-value of the permutation test of two samples; nan if one has a single value."""
    ours, theirs = (np.sort(np.asarray(values, dtype=np.float64)) for values in (variant, baseline))
    if min(len(ours), len(theirs)) < 2:
        return math.nan
    found = stats.permutation_test(
        (ours, theirs),
        lambda x, y, axis: np.mean(x, axis=axis),  # equivalent to the difference of means, but keeps ties
        permutation_type="independent",
        n_resamples=math.inf if math.comb(len(ours) + len(theirs), len(ours)) <= LARGEST_EXACT_TEST else RESAMPLES,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def estimate_improvement(variant: ArrayLike, baseline: ArrayLike, higher_is_better: bool) -> float:
    """Return P(variant better) + P(equal) / 2 over all pairs of runs: Mann–Whitney U divided by its maximum.

    Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice", 2021.
    """
    ours, theirs = np.asarray(variant), np.asarray(baseline)
    better, worse = (ours, theirs) if higher_is_better else (theirs, ours)
    return float(stats.mannwhitneyu(better, worse, method="asymptotic").statistic) / (len(ours) * len(theirs))


def adjust_by_holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for multiple testing (Holm, 1979); nan counts as no test.

    scipy only controls the false discovery rate.
    """
    tested = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p))
        adjusted[place] = largest
    return adjusted


def _divide(difference: float, deviation: float) -> float:
    return float(difference / deviation) if deviation > ROUNDING * abs(difference) else math.nan


def _normalize(differences: ArrayLike) -> Values:
    """Return the differences of one test in canonical order, sign and scale."""
    values = np.asarray(differences, dtype=np.float64)
    values = values * (-1 if values.sum() < 0 else 1)
    ordered: Values = values[np.lexsort((values, np.abs(values)))]
    return ordered / np.abs(values).max() if values.any() else ordered
