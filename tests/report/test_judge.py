"""The judge: its interval, its verdicts, and the seeds that it asks for."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from normlab.report.judge import judge

REGION = (0.0, math.inf)


@pytest.mark.parametrize(("n", "share"), [(6, 0.3), (7, 0.12), (13, 0.12), (20, 0.12)])
@pytest.mark.parametrize("claims", [1, 4])
def test_the_interval_is_students_at_a_share_of_the_level(n: int, share: float, claims: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    found = judge(values.tolist(), REGION, claims)
    low, high = stats.t.interval(1 - 0.05 / claims * share, n - 1, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_an_effect_of_six_standard_errors_is_decided_at_six_seeds_beside_seven_other_claims() -> None:
    values = np.array([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0])
    values += 6 * stats.sem(values)
    assert judge(values.tolist(), REGION, claims=8).outcome == "supported"
    assert judge((-values).tolist(), REGION, claims=8).outcome == "refuted"


@pytest.mark.parametrize(
    ("values", "region", "outcome"),
    [
        ([0.9, 0.91, 0.92, 0.9, 0.91, 0.92], (0.85, math.inf), "supported"),
        ([0.9, 0.91, 0.92, 0.9, 0.91, 0.92], (-math.inf, 0.85), "refuted"),
        ([0.9, 0.91, 0.92, 0.9, 0.91, 0.92], (0.91, math.inf), "undecided"),
        ([0.001, -0.001, 0.0, 0.001, 0.0, -0.001], (-0.005, 0.005), "supported"),
        ([0.9] * 5, (0.0, math.inf), "undecided"),
        ([], (0.0, math.inf), "not run"),
    ],
)
def test_the_verdict_says_where_the_interval_lies(
    values: list[float], region: tuple[float, float], outcome: str
) -> None:
    assert judge(values, region).outcome == outcome


def test_fewer_than_six_seeds_have_no_interval_and_need_the_rest() -> None:
    found = judge([0.9, 0.8], REGION)
    assert math.isnan(found.low)
    assert found.estimate == pytest.approx(0.85)
    assert found.seeds_needed == 4


def test_equal_values_prove_no_digit_beyond_the_resolution_of_their_metric() -> None:
    values = [0.85004] * 6
    assert judge(values, (0.85, math.inf)).outcome == "supported"
    coarse = judge(values, (0.85, math.inf), resolution=1 / 1000)
    assert coarse.outcome == "undecided"
    assert coarse.high - coarse.low == pytest.approx(1 / 1000)


def test_an_interval_ends_at_the_bounds_of_its_metric() -> None:
    found = judge([0.99, 1.0, 0.98, 1.0, 0.97, 1.0], REGION, bounds=(0.0, 1.0))
    assert found.high == 1.0


@pytest.mark.parametrize("n", [6, 12, 20])
def test_a_share_of_runs_has_the_exact_interval_of_a_binomial(n: int) -> None:
    found = judge([1.0] * n, (0.5, 1.0), are_binary=True)
    level = 0.05 * (0.3 if n == 6 else 0.12)
    assert found.low == pytest.approx((level / 2) ** (1 / n))
    assert found.high == 1.0


def test_the_first_twenty_seeds_decide() -> None:
    values = np.random.default_rng(0).normal(size=30).tolist()
    assert judge(values, REGION) == judge(values[:20], REGION)


def test_the_seeds_that_it_asks_for_decide_if_mean_and_deviation_stay() -> None:
    values = [0.5, -0.2, 1.2, 0.2, 0.8, 0.1]
    found = judge(values, REGION)
    assert found.outcome == "undecided"
    assert found.seeds_needed is not None
    sample = np.array(values)
    center, deviation = sample.mean(), sample.std(ddof=1)

    def repeat(n: int) -> list[float]:
        spread = np.linspace(-1, 1, n)
        return [float(value) for value in center + deviation * spread / spread.std(ddof=1)]

    assert judge(repeat(6 + found.seeds_needed), REGION).outcome == "supported"
    assert judge(repeat(6 + found.seeds_needed - 1), REGION).outcome == "undecided"


def test_a_mean_at_the_end_of_the_region_is_never_decided() -> None:
    found = judge([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0], REGION)
    assert (found.outcome, found.seeds_needed) == ("undecided", None)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-1, 1), min_size=6, max_size=20), st.floats(-1, 1), st.integers(1, 8), st.randoms())
def test_the_verdict_depends_on_nothing_but_the_values(
    values: list[float], end: float, claims: int, random: Random
) -> None:
    found = judge(values, (end, math.inf), claims)
    shuffled = list(values)
    random.shuffle(shuffled)
    assert judge(shuffled, (end, math.inf), claims) == found
    assert found.low <= found.estimate <= found.high
    mirrored = judge([-value for value in values], (-math.inf, -end), claims)
    assert mirrored.outcome == found.outcome
