"""How many seeds and looks a sweep until its claims are decided takes, by how many seeds it adds after each look.

One number per seed is drawn (normal, with a mean of so many standard deviations), as one claim sees it.

Command: python benchmarks/looks.py (about 1 minute on two cores)
"""

from collections.abc import Callable

import numpy as np
from paired import print_machine

from normlab.report.claims import FIRST_LOOK, LAST_LOOK
from normlab.report.judge import judge
from normlab.sweeps.until_decided import count_further

COUNT = 300
EFFECTS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
RULES: dict[str, Callable[[int], int]] = {
    "one": lambda needed: 1,
    "half of what is needed": count_further,
    "all that is needed": lambda needed: needed,
}


def sweep(values: list[float], count: Callable[[int], int]) -> tuple[int, int]:
    """Return the number of seeds and of looks until the sign of the mean is decided."""
    seeds, looks = FIRST_LOOK, 1
    while seeds < LAST_LOOK and (found := judge(values[:seeds], (0.0, np.inf))).outcome == "undecided":
        seeds = min(seeds + count(found.seeds_needed or LAST_LOOK - seeds), LAST_LOOK)
        looks += 1
    return seeds, looks


def main() -> None:
    print_machine("numpy", "scipy")
    print(f"mean seeds and looks, {COUNT} claims of each effect\n{'':24}" + "".join(f"{it:>12g}" for it in EFFECTS))
    for name, count in RULES.items():
        cells = []
        for effect in EFFECTS:
            drawn = np.random.default_rng(0).standard_normal((COUNT, LAST_LOOK)) + effect
            seeds, looks = np.mean([sweep(values.tolist(), count) for values in drawn], axis=0)
            cells.append(f"{seeds:.1f}, {looks:.1f}")
        print(f"{name:24}" + "".join(f"{cell:>12}" for cell in cells))


if __name__ == "__main__":
    main()
