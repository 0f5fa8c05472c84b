"""How two variants compare: differences paired by seed, permutation tests, effect sizes, correction for many tests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from normlab.report.statistics import CONFIDENCE, RESAMPLES, ROUNDING, Interval, Values, interval_of

LARGEST_EXACT_TEST = 2**15
"""Rearrangements up to which a permutation test takes them all; above, it draws `RESAMPLES` of them."""


@dataclass(frozen=True)
class Comparison:
    """A variant against its baseline; positive differences mean that the variant's values are larger."""

    n: int
    """Pairs, or the runs of the smaller side where there are none."""
    paired: bool
    difference: float
    interval: Interval
    effect: float
    """Mean difference in standard deviations: of the differences where paired (Cohen's d_z), else pooled (d)."""
    improvement: float
    """Probability that a run of the variant is better than one of the baseline, ties counting half."""


def compare_pairs(variant: ArrayLike, baseline: ArrayLike, higher_is_better: bool) -> Comparison:
    """Compare two variants seed by seed: `variant[i]` and `baseline[i]` come from one seed."""
    ours, theirs = np.asarray(variant, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    differences = np.sort(ours - theirs)
    deviation = differences.std(ddof=1) if len(differences) > 1 else math.nan
    difference = float(differences.mean())
    if abs(difference) <= ROUNDING * np.abs([ours, theirs]).max():
        difference = 0.0  # the rest that is left where differences cancel
    return Comparison(
        n=len(differences),
        paired=True,
        difference=difference,
        interval=interval_of(differences),
        effect=_ratio(difference, deviation),
        improvement=probability_of_improvement(ours, theirs, higher_is_better),
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
        found = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(CONFIDENCE)
        interval = Interval(float(found.low), float(found.high), "Welch's t")
    degrees = len(ours) + len(theirs) - 2
    squares = sum(((values - values.mean()) ** 2).sum() for values in (ours, theirs))
    return Comparison(
        n=smaller,
        paired=False,
        difference=difference,
        interval=interval,
        effect=_ratio(difference, math.sqrt(squares / degrees) if degrees else math.nan),
        improvement=probability_of_improvement(ours, theirs, higher_is_better),
    )


def paired_p(differences: Sequence[ArrayLike]) -> list[float]:
    """Return the two-sided p of each comparison: the share of sign flips that make its mean difference as large.

    All 2ⁿ ways to flip the signs of n differences are taken up to n = 15, which is exact: so n pairs give no p below
    2 / 2ⁿ. Fewer than two pairs give nan. Comparisons of one n share the flips, which takes most of the time.
    """
    found = [math.nan] * len(differences)
    by_size: dict[int, list[int]] = {}
    for place, values in enumerate(differences):
        by_size.setdefault(np.size(values), []).append(place)
    for size, places in by_size.items():
        if size > 1:
            p_values = stats.permutation_test(
                (np.array([_in_units_of_the_largest(differences[place]) for place in places]),),
                lambda each, axis: np.round(np.mean(each, axis=axis), 9),  # else rounding would part means that tie
                permutation_type="samples",
                n_resamples=math.inf if 2**size <= LARGEST_EXACT_TEST else RESAMPLES,
                vectorized=True,
                axis=1,
                batch=512,  # larger ones leave the cache and take ten times as long
                rng=np.random.default_rng(0),
            ).pvalue
            for place, p in zip(places, p_values, strict=True):
                found[place] = float(p)
    return found


def unpaired_p(variant: ArrayLike, baseline: ArrayLike) -> float:
    """Return the two-sided p of the permutation test that deals all runs anew to two sides; nan for one run each."""
    ours, theirs = (np.sort(np.asarray(values, dtype=np.float64)) for values in (variant, baseline))
    if min(len(ours), len(theirs)) < 2:
        return math.nan
    found = stats.permutation_test(
        (ours, theirs),
        lambda x, y, axis: np.mean(x, axis=axis),  # orders deals as the difference does; scipy then sees their ties
        permutation_type="independent",
        n_resamples=math.inf if math.comb(len(ours) + len(theirs), len(ours)) <= LARGEST_EXACT_TEST else RESAMPLES,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def probability_of_improvement(variant: ArrayLike, baseline: ArrayLike, higher_is_better: bool) -> float:
    """Return P(variant better) + P(equal) / 2 over all pairs of runs, the Mann–Whitney U over its largest value.

    Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice", 2021.
    """
    ours, theirs = np.asarray(variant), np.asarray(baseline)
    better, worse = (ours, theirs) if higher_is_better else (theirs, ours)
    return float(stats.mannwhitneyu(better, worse, method="asymptotic").statistic) / (len(ours) * len(theirs))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for being many (Holm, 1979), in the same order; nan counts as no test.

    scipy adjusts for the false discovery rate alone.
    """
    tested = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p))
        adjusted[place] = largest
    return adjusted


def _ratio(difference: float, deviation: float) -> float:
    return float(difference / deviation) if deviation > ROUNDING * abs(difference) else math.nan


def _in_units_of_the_largest(differences: ArrayLike) -> Values:
    """Return differences of one test in an order, a sign and a scale that do not depend on how they were given."""
    values = np.asarray(differences, dtype=np.float64)
    values = values * (-1 if values.sum() < 0 else 1)
    ordered: Values = values[np.lexsort((values, np.abs(values)))]
    return ordered / np.abs(values).max() if values.any() else ordered
