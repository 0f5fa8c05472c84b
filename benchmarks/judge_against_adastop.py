"""The judge of claims against AdaStop (Mathieu et al., arXiv:2306.10882): false verdicts, and seeds until a verdict.

AdaStop is a sequential permutation test of two unpaired samples, here at a level of 5 % with looks at 5, 10, 15 and 20.
Both see the same runs: two variants whose values are independent, with a deviation of 1/√2, so that their difference
has one of 1. AdaStop says whether the means are equal; the judge says whether the difference is above 0.

Command: .venv/peers/bin/python benchmarks/judge_against_adastop.py (about 2 minutes on two cores)
"""

import argparse

import numpy as np
from adastop import MultipleAgentsComparator
from numpy.typing import NDArray
from paired import print_machine

from normlab.report.claims import FIRST_LOOK, LAST_LOOK
from normlab.report.judge import judge

Values = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="comparisons of each kind (default: 200)")
    count = parser.parse_args().count
    print_machine("numpy", "scipy", "adastop")
    random = np.random.default_rng(0)
    print(f"{'':22}" + "".join(f"{name:>22}" for name in ("AdaStop", "normlab")))
    for name, effect, trains in (
        ("equal, normal", 0.0, False),
        ("equal, trains with 0.5", 0.0, True),
        *((f"distance {effect:g}", effect, False) for effect in (0.5, 1.0, 1.5, 2.0, 3.0)),
    ):
        found = []
        for _ in range(count):
            if trains:
                ours, theirs = (random.random((2, LAST_LOOK)) < 0.5).astype(np.float64)
            else:
                ours, theirs = random.normal(size=(2, LAST_LOOK)) / np.sqrt(2)
            found.append((ask_adastop(ours + effect, theirs), ask_judge(ours + effect - theirs)))
        seeds = np.array(found)
        texts = [f"{np.minimum(each, LAST_LOOK).mean():.1f}, {(each <= LAST_LOOK).mean():.3f}" for each in seeds.T]
        print(f"{name:22}" + "".join(f"{text:>22}" for text in texts), flush=True)
    print(
        "Mean seeds until the verdict (20 if there is none), and share of verdicts; those on equal variants are false."
    )


def ask_adastop(ours: Values, theirs: Values) -> int:
    """Return the number of seeds after which AdaStop finds a difference; one more than there are if it does not."""
    looks = 4
    comparator = MultipleAgentsComparator(n=LAST_LOOK // looks, K=looks, B=2000, alpha=0.05, seed=0)
    for look in range(1, looks + 1):
        size = look * LAST_LOOK // looks
        comparator.partial_compare({"ours": ours[:size], "theirs": theirs[:size]}, verbose=False)
        if comparator.is_finished:
            break
    return size if "equal" not in comparator.decisions.values() else LAST_LOOK + 1


def ask_judge(differences: Values) -> int:
    """Return the number of seeds after which the judge decides; one more than there are if it does not."""
    for size in range(FIRST_LOOK, LAST_LOOK + 1):
        if judge(differences[:size].tolist(), (0.0, np.inf)).outcome != "undecided":
            return size
    return LAST_LOOK + 1


if __name__ == "__main__":
    main()
