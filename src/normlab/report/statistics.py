"""Statistics over seeds: means with intervals, paired differences, published values, steps to a threshold.

Every function takes one value per run, in any order.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special  # scipy.stats takes half a second to import

CONFIDENCE = 0.95
MIN_INTERVAL_SIZE = 3
"""Number of values from which a mean has an interval: that of two would be up to 9 times as wide as their distance."""
ROUNDING = 1e-9
"""Relative difference up to which sums count as equal: 0.3 − 0.2 and 0.2 − 0.1 tie."""

Bounds = tuple[float, float]
UNBOUNDED: Bounds = (-math.inf, math.inf)

Values = NDArray[np.float64]


class Interval(NamedTuple):
    """95 % interval of a mean; both ends are nan if there are fewer than three values."""

    low: float
    high: float


class Summary(NamedTuple):
    """One metric of one variant over its `n` runs."""

    n: int
    mean: float
    deviation: float
    """Sample standard deviation (n − 1); nan for one value."""
    interval: Interval


class Comparison(NamedTuple):
    """A variant against its baseline; a positive difference means that the variant's values are larger."""

    n: int
    """Number of pairs."""
    difference: float
    interval: Interval
    wins: int
    """Number of pairs in which the variant is better."""


class Reproduction(NamedTuple):
    """A published value compared with the values of the seeds."""

    published: float
    low: float
    high: float
    """Ends of the 95 % prediction interval of one more run."""
    verdict: str
    """reproduced | differs | not comparable"""


class Reach(NamedTuple):
    """Steps until runs first reach a threshold; runs that never do are censored at their last step."""

    n: int
    reached: int
    median: float
    """Kaplan–Meier estimate; nan if fewer than half of the runs reach the threshold."""


def estimate_interval(values: ArrayLike, bounds: Bounds = UNBOUNDED) -> Interval:
    """Return the ordinary 95 % interval of the mean, Student's t, as far as it lies within the bounds."""
    sample = _sort(values)
    if len(sample) < MIN_INTERVAL_SIZE:
        return Interval(math.nan, math.nan)
    half = _scale(sample) / math.sqrt(len(sample))
    return Interval(max(float(sample.mean() - half), bounds[0]), min(float(sample.mean() + half), bounds[1]))


def summarize(values: ArrayLike, bounds: Bounds = UNBOUNDED) -> Summary:
    """Summarize one metric, whose values lie within bounds, over runs. Raises ValueError if there are no values."""
    sample = _sort(values)
    if not len(sample):
        raise ValueError("there are no values to summarize")
    deviation = float(sample.std(ddof=1)) if len(sample) > 1 else math.nan
    return Summary(len(sample), float(sample.mean()), deviation, estimate_interval(sample, bounds))


def compare_pairs(
    variant: ArrayLike, baseline: ArrayLike, higher_is_better: bool, bounds: Bounds = UNBOUNDED
) -> Comparison:
    """Compare two variants seed by seed: `variant[i]` and `baseline[i]` come from one seed, and lie within bounds."""
    ours, theirs = np.asarray(variant, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    differences = _sort(ours - theirs)
    difference = float(differences.mean())
    if abs(difference) <= ROUNDING * np.abs([ours, theirs]).max():
        difference = 0.0  # a rounding error, left when differences cancel
    interval = estimate_interval(differences, (bounds[0] - bounds[1], bounds[1] - bounds[0]))
    wins = int((differences > 0 if higher_is_better else differences < 0).sum())
    return Comparison(len(differences), difference, interval, wins)


def judge_reproduction(values: ArrayLike, published: float) -> Reproduction:
    """Check whether a published value, a single run by the original author, could be one more of these runs.

    The prediction interval of one more value is mean ± t · s · √(1 + 1/n), which needs two values.
    """
    sample = _sort(values)
    if len(sample) < 2:
        return Reproduction(published, math.nan, math.nan, "not comparable")
    half = _scale(sample) * math.sqrt(1 + 1 / len(sample))
    low, high = float(sample.mean() - half), float(sample.mean() + half)
    return Reproduction(published, low, high, "reproduced" if low <= published <= high else "differs")


def estimate_rate(successes: int, n: int) -> Interval:
    """Return Wilson's 95 % interval of a success rate (Wilson, 1927)."""
    from scipy import stats  # takes half a second, and few experiments have a threshold

    return Interval(*map(float, stats.binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")))


def measure_reach(steps: Sequence[float], reached: Sequence[bool]) -> Reach:
    """Return how many runs reached a threshold, and the median number of steps to it; others are censored."""
    from scipy import stats  # takes half a second, and few experiments have a threshold

    times, is_reached = np.asarray(steps, dtype=np.float64), np.asarray(reached, dtype=bool)
    median = math.nan
    if is_reached.any():
        survival = stats.ecdf(stats.CensoredData(uncensored=times[is_reached], right=times[~is_reached])).sf
        median = float(min(survival.quantiles[survival.probabilities <= 0.5 + ROUNDING], default=math.nan))
    return Reach(len(times), int(is_reached.sum()), median)


def _scale(sample: Values) -> float:
    """Return the sample standard deviation times the 97.5 % quantile of Student's t."""
    return float(special.stdtrit(len(sample) - 1, 0.5 + CONFIDENCE / 2) * sample.std(ddof=1))


def average_pointwise(points: Values, bounds: Bounds) -> tuple[Values, Values, Values, Values]:
    """Return the distinct steps, the mean at each, and both ends of its 95 % interval (Student's t) within bounds.

    Points of all runs have the shape (points, 2): steps and values.
    """
    steps, values = points.T
    distinct, place, n = np.unique(steps, return_inverse=True, return_counts=True)
    mean = np.bincount(place, values) / n
    squares = np.bincount(place, (values - mean[place]) ** 2)
    degrees = np.where(n >= MIN_INTERVAL_SIZE, n - 1, np.nan)
    half = special.stdtrit(degrees, 0.5 + CONFIDENCE / 2) * np.sqrt(squares / degrees / n)
    return distinct, mean, np.maximum(mean - half, bounds[0]), np.minimum(mean + half, bounds[1])


def _sort(values: ArrayLike) -> Values:
    return np.sort(np.asarray(values, dtype=np.float64))  # sums depend on the order
