"""How often the judge of claims is wrong, and how many seeds it needs: simulated, against other ways to decide.

One number per seed is drawn; after 6, 7, …, 20 seeds each rule may decide, as people do who add seeds to those on disk.
A verdict on numbers with mean 0 is false. For effects (normal numbers with means of so many standard deviations) it is
the mean number of seeds until the verdict, and the share of verdicts by 20 seeds.

Command: python benchmarks/judge.py (about 1 minute on two cores)
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paired import print_machine
from scipy import stats

from normlab.report.claims import FIRST_LOOK, LAST_LOOK
from normlab.report.judge import LEVEL, SHARE_OF_FIRST_LOOK, SHARE_OF_LATER_LOOK

Values = NDArray[np.floating[Any]]
Draw = Callable[[np.random.Generator, int], Values]
SIZES = np.arange(FIRST_LOOK, LAST_LOOK + 1)
EFFECTS = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0)


def trains(chance: float) -> Draw:
    """Draw differences of two networks that either train (1) or do not (0), with equal chances."""
    return lambda random, count: (
        (random.random((count, LAST_LOOK)) < chance) * 1.0 - (random.random((count, LAST_LOOK)) < chance)
    )


NUMBERS: dict[str, Draw] = {
    "normal": lambda random, count: random.standard_normal((count, LAST_LOOK)),
    "±1": lambda random, count: random.choice([-1.0, 1.0], (count, LAST_LOOK)),
    "trains, 0.5": trains(0.5),
    "trains, 0.8": trains(0.8),
    "exponential": lambda random, count: random.exponential(size=(count, LAST_LOOK)) - 1,
    "1 in 10 fails": lambda random, count: 0.1 - (random.random((count, LAST_LOOK)) < 0.1),
}


def compute_t(values: Values) -> Values:
    """Return |t| of the first 6, 7, …, 20 of each row; infinite if they are equal and not 0."""
    n = np.arange(1, LAST_LOOK + 1)
    mean = np.cumsum(values, axis=1) / n
    squares = np.cumsum(values**2, axis=1) - n * mean**2
    variance = np.where(squares > 1e-9, squares, 0.0)[:, FIRST_LOOK - 1 :] / (SIZES - 1)
    mean = np.abs(mean[:, FIRST_LOOK - 1 :])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(mean > 1e-9, mean / np.sqrt(variance / SIZES), 0.0)


def look_at(shares: dict[int, float]) -> Callable[[float], Values]:
    """Return the critical |t| of each number of seeds, given the level, if each is allowed a share of it."""

    def compute_critical(level: float) -> Values:
        allowed = np.array([shares.get(int(n), 0.0) for n in SIZES])
        critical: Values = stats.t.isf(level * allowed / 2, SIZES - 1)
        return critical

    return compute_critical


def mix(level: float) -> Values:
    """Return the critical |t| of a mixture of normal effects with variance 1, which holds at every number of seeds."""
    ratio = (1 / level**2 * (1 + SIZES)) ** (1 / SIZES)
    with np.errstate(invalid="ignore", divide="ignore"):
        squared = (SIZES - 1) * (ratio - 1) * (1 + SIZES) / (1 + SIZES - ratio)
    return np.where(ratio < 1 + SIZES, np.sqrt(np.maximum(squared, 0)), np.inf)


RULES: dict[str, Callable[[float], Values]] = {
    "normlab": look_at({int(n): SHARE_OF_FIRST_LOOK if n == FIRST_LOOK else SHARE_OF_LATER_LOOK for n in SIZES}),
    "a third at 6, 10, 20": look_at({6: 1 / 3, 10: 1 / 3, 20: 1 / 3}),
    "mixture, g = 1": mix,
    "t at every n": look_at({int(n): 1.0 for n in SIZES}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="comparisons of each kind (default: 100,000)")
    count = parser.parse_args().count
    print_machine("numpy", "scipy")
    random = np.random.default_rng(0)
    drawn = {name: compute_t(draw(random, count)) for name, draw in NUMBERS.items()}
    effects = [compute_t(random.standard_normal((count // 10, LAST_LOOK)) + effect) for effect in EFFECTS]
    for claims in (1, 4, 8):
        print(f"\n{claims} claim{'s' * (claims > 1)}: false verdicts in %, whatever the number of seeds from 6 to 20")
        print(f"{'':22}" + "".join(f"{name:>15}" for name in drawn))
        for rule, compute_critical in RULES.items():
            critical = compute_critical(LEVEL / claims)
            shares = [100 * (t > critical).any(axis=1).mean() for t in drawn.values()]
            print(f"{rule:22}" + "".join(f"{share:15.2f}" for share in shares))
        print("mean seeds until the verdict, and share decided by 20, at effects of so many standard deviations")
        print(f"{'':22}" + "".join(f"{effect:15g}" for effect in EFFECTS))
        for rule, compute_critical in RULES.items():
            critical = compute_critical(LEVEL / claims)
            print(f"{rule:22}" + "".join(f"{describe(t > critical):>15}" for t in effects))


def describe(decided: NDArray[np.bool_]) -> str:
    ever = decided.any(axis=1)
    seeds = np.where(ever, SIZES[decided.argmax(axis=1)], LAST_LOOK)
    return f"{seeds.mean():.1f}, {ever.mean():.2f}"


if __name__ == "__main__":
    main()
