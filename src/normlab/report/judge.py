"""The judge: one interval for the mean over seeds, and the verdict that it gives.

Seeds are added to those on disk, so an interval is looked at several times, and has to hold at all looks together. It
is Student's, with the level shared among the claims of an experiment and spent over the numbers of seeds from 6 to 20.
`benchmarks/judge.py` simulates how often it is wrong.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from normlab.report.claims import FIRST_LOOK, LAST_LOOK

LEVEL = 0.05
"""Probability of a false verdict on any claim of an experiment, whenever the number of seeds was chosen."""
SHARE_OF_FIRST_LOOK, SHARE_OF_LATER_LOOK = 0.3, 0.12
"""Shares of the level. They add up to more than 1 because the looks share most of their seeds."""

Outcome = Literal["supported", "refuted", "undecided", "not run"]


@dataclass(frozen=True)
class Judgement:
    """The mean of one number per seed, its interval, and whether that lies in a claimed region."""

    estimate: float
    low: float
    high: float
    """Ends of the interval; nan if there are too few seeds for one."""
    outcome: Outcome
    n: int
    """Seeds that it rests on."""
    seeds_needed: int | None = None
    """Further seeds after which the same mean and deviation would decide it; None if it is, or if 20 are too few."""


def judge(
    values: Sequence[float],
    region: tuple[float, float],
    claims: int = 1,
    resolution: float = 0.0,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    are_binary: bool = False,
) -> Judgement:
    """Judge whether the mean of one number per seed, in the order of seeds, lies in a closed region.

    All `claims` of the experiment share the level. The interval is at least as wide as the resolution, the smallest
    difference between two values; if all values are 0 or 1, it is that of Clopper and Pearson, 1934.
    """
    sample = np.sort(np.asarray(values[:LAST_LOOK], dtype=np.float64))  # sums depend on the order
    n = len(sample)
    if n == 0:
        return Judgement(math.nan, math.nan, math.nan, "not run", 0)
    mean = float(sample.mean())
    if n < FIRST_LOOK:
        return Judgement(mean, math.nan, math.nan, "undecided", n, FIRST_LOOK - n)
    deviation = float(sample.std(ddof=1))

    def decide(count: int) -> tuple[float, float, Outcome]:
        low, high = _estimate_interval(mean, deviation, count, LEVEL / claims, are_binary)
        low, high = (max(min(low, mean - resolution / 2), bounds[0]), min(max(high, mean + resolution / 2), bounds[1]))
        if region[0] <= low and high <= region[1]:
            return low, high, "supported"
        return low, high, "refuted" if high < region[0] or low > region[1] else "undecided"

    low, high, outcome = decide(n)
    needed = None
    if outcome == "undecided":
        later = range(n + 1, LAST_LOOK + 1)
        needed = next((count - n for count in later if decide(count)[2] != "undecided"), None)
    return Judgement(mean, low, high, outcome, n, needed)


def _estimate_interval(mean: float, deviation: float, n: int, level: float, are_binary: bool) -> tuple[float, float]:
    level *= SHARE_OF_FIRST_LOOK if n == FIRST_LOOK else SHARE_OF_LATER_LOOK
    if are_binary:
        from scipy import stats  # takes half a second, and few experiments claim a rate

        exact = stats.binomtest(round(mean * n), n).proportion_ci(1 - level, method="exact")
        return float(exact.low), float(exact.high)
    half = -float(special.stdtrit(n - 1, level / 2)) * deviation / math.sqrt(n)
    return mean - half, mean + half
