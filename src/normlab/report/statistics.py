"""Statistics over the runs of one variant: means with intervals, steps to a threshold, published values.

Every function takes one value per run, in any order.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import integrate, stats

CONFIDENCE = 0.95
MIN_INTERVAL_SIZE = 3
"""Number of values from which a mean has an interval: that of two would be up to 9 times as wide as their distance."""
ROUNDING = 1e-9
"""Relative difference up to which sums count as equal: 0.3 − 0.2 and 0.2 − 0.1 tie."""

Bounds = tuple[float, float]
UNBOUNDED: Bounds = (-math.inf, math.inf)

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """95 % interval of a mean; both ends are nan if there are fewer than three values."""

    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """One metric of one variant over its `n` runs. Best and worst follow the metric's direction."""

    n: int
    mean: float
    deviation: float
    """Sample standard deviation (n − 1); nan for one value."""
    median: float
    interquartile_mean: float
    interval: Interval
    best: float
    worst: float


@dataclass(frozen=True)
class Reproduction:
    """A published value compared with the values of the seeds."""

    published: float
    low: float
    high: float
    """Ends of the 95 % prediction interval of one more run."""
    verdict: str
    """reproduced | differs | not comparable"""
    why: str


@dataclass(frozen=True)
class Reach:
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
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, len(sample) - 1) * sample.std(ddof=1) / math.sqrt(len(sample))
    return Interval(max(float(sample.mean() - half), bounds[0]), min(float(sample.mean() + half), bounds[1]))


def summarize(values: ArrayLike, higher_is_better: bool, bounds: Bounds = UNBOUNDED) -> Summary:
    """Summarize one metric, whose values lie within bounds, over runs. Raises ValueError if there are no values."""
    sample = _sort(values)
    if not len(sample):
        raise ValueError("there are no values to summarize")
    low, high = float(sample[0]), float(sample[-1])
    return Summary(
        n=len(sample),
        mean=float(sample.mean()),
        deviation=float(sample.std(ddof=1)) if len(sample) > 1 else math.nan,
        median=float(np.median(sample)),
        interquartile_mean=float(stats.trim_mean(sample, 0.25)),
        interval=estimate_interval(sample, bounds),
        best=high if higher_is_better else low,
        worst=low if higher_is_better else high,
    )


def estimate_rate(successes: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a success rate (Wilson, 1927)."""
    interval = stats.binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def judge_reproduction(values: ArrayLike, published: float) -> Reproduction:
    """Check whether a published value, a single run by the original author, could be one more of these runs.

    The prediction interval of one more value is mean ± t · s · √(1 + 1/n).
    """
    sample = _sort(values)
    if len(sample) < 2:
        why = f"n = {len(sample)}: the spread over seeds is unknown"
        return Reproduction(published, math.nan, math.nan, "not comparable", why)
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, len(sample) - 1) * sample.std(ddof=1) * math.sqrt(1 + 1 / len(sample))
    low, high = float(sample.mean() - half), float(sample.mean() + half)
    if low <= published <= high:
        return Reproduction(published, low, high, "reproduced", "within the prediction interval of the seeds")
    side = "below" if published < low else "above"
    why = (
        f"{side} the prediction interval; it is a single run by the original author, with other weights and batch order"
    )
    return Reproduction(published, low, high, "differs", why)


def measure_reach(steps: Sequence[float], reached: Sequence[bool]) -> Reach:
    """Return how many runs reached a threshold, and the median number of steps to it.

    Args:
        steps: of each run, the first step observed at or beyond the threshold; its last step if it never got there.
        reached: whether it did.
    """
    times = np.asarray(steps, dtype=np.float64)
    is_reached = np.asarray(reached, dtype=bool)
    median = math.nan
    if is_reached.any():
        survival = stats.ecdf(stats.CensoredData(uncensored=times[is_reached], right=times[~is_reached])).sf
        below = survival.quantiles[survival.probabilities <= 0.5 + ROUNDING]
        median = float(below[0]) if len(below) else math.nan
    return Reach(len(times), int(is_reached.sum()), median)


def compute_area_under_curve(steps: ArrayLike, values: ArrayLike) -> float:
    """Return the mean height of a curve between its first and last step (trapezoids); nan for fewer than two steps."""
    x, y = np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)
    return float(integrate.trapezoid(y, x) / (x[-1] - x[0])) if len(x) > 1 and x[-1] > x[0] else math.nan


def average_pointwise(points: Values, bounds: Bounds) -> tuple[Values, Values, Values, Values]:
    """Return the distinct steps, the mean at each, and both ends of its 95 % interval (Student's t) within bounds.

    Args:
        points: of all runs, shape (points, 2): steps and values.
        bounds: smallest and largest possible value.
    """
    steps, values = points.T
    distinct, place, n = np.unique(steps, return_inverse=True, return_counts=True)
    mean = np.bincount(place, values) / n
    squares = np.bincount(place, (values - mean[place]) ** 2)
    degrees = np.where(n >= MIN_INTERVAL_SIZE, n - 1, np.nan)
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, degrees) * np.sqrt(squares / degrees / n)
    return distinct, mean, np.maximum(mean - half, bounds[0]), np.minimum(mean + half, bounds[1])


def _sort(values: ArrayLike) -> Values:
    return np.sort(np.asarray(values, dtype=np.float64))
