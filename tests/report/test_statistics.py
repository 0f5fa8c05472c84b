"""The statistics of a report against figures worked out otherwise, and the laws that they obey for all values."""

import math
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normlab.report.statistics import (
    Comparison,
    compare_pairs,
    estimate_interval,
    estimate_rate,
    judge_reproduction,
    measure_reach,
    summarize,
)

of_every_case = settings(deadline=None, max_examples=60)

T_OF_4 = 2.776445
"""97.5 % quantile of Student's t with 4 degrees of freedom, as tables have it."""


# Laws are drawn on a grid of 1/64, on which sums and differences of floats are exact.
def grid(low: int = -640, high: int = 640) -> st.SearchStrategy[float]:
    return st.integers(low, high).map(lambda number: number / 64)


def samples(smallest: int = 2, largest: int = 9) -> st.SearchStrategy[list[float]]:
    return st.lists(grid(), min_size=smallest, max_size=largest)


def paired(smallest: int = 2, largest: int = 9) -> st.SearchStrategy[list[tuple[float, float]]]:
    return st.lists(st.tuples(grid(), grid()), min_size=smallest, max_size=largest)


def sides(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


# Intervals and summaries


def test_the_interval_of_five_values_is_that_of_students_t() -> None:
    # mean 3, s² = 10/4, standard error √(2.5 / 5)
    interval = estimate_interval([1, 2, 3, 4, 5])
    assert interval == pytest.approx((3 - T_OF_4 * math.sqrt(0.5), 3 + T_OF_4 * math.sqrt(0.5)), abs=1e-6)


def test_students_sleep_data_have_the_difference_and_the_interval_that_r_prints() -> None:
    # R: t.test(extra ~ group, sleep, paired = TRUE): mean difference -1.58, t = -4.0621, df = 9
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    found = compare_pairs(first, second, True)
    assert found.difference == pytest.approx(-1.58)
    assert found.wins == 0
    # R: 95 percent confidence interval: -2.4598858 -0.7001142
    assert found.interval == pytest.approx((-2.4598858, -0.7001142), abs=1e-6)


@pytest.mark.parametrize("n", [3, 9, 30])
def test_equal_values_have_an_interval_of_no_width(n: int) -> None:
    assert estimate_interval([0.1] * n) == pytest.approx((0.1, 0.1))


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_values_have_no_interval(n: int) -> None:
    assert all(math.isnan(end) for end in estimate_interval([0.1, 0.9][:n]))


def test_an_interval_ends_at_the_bounds_of_its_metric() -> None:
    assert estimate_interval([0.9, 1.0, 0.2], (0.0, 1.0)) == (0.0, 1.0)
    low, high = compare_pairs([1.0, 0.9, 0.2], [0.0, 0.1, 0.2], True, (0.0, 1.0)).interval
    assert low == pytest.approx(0.6 - 4.302653 * np.std([1.0, 0.8, 0.0], ddof=1) / math.sqrt(3), abs=1e-6)
    assert high == 1.0


def test_a_rate_has_the_interval_of_wilson() -> None:
    # Wilson's score interval of 5 of 6 with z = 1.959964, by its formula
    z, p, n = 1.959964, 5 / 6, 6
    center, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    expected = (center - half) / (1 + z * z / n), (center + half) / (1 + z * z / n)
    assert estimate_rate(5, 6) == pytest.approx(expected, abs=1e-6)


def test_intervals_of_normal_values_hold_the_true_mean_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(1)
    for n, repeats, least in ((5, 400, 0.92), (12, 400, 0.92)):
        held = 0
        for _ in range(repeats):
            interval = estimate_interval(random.normal(3, 2, n))
            held += interval.low <= 3 <= interval.high
        assert least <= held / repeats <= 0.99, n


def test_a_summary_of_five_values_is_what_one_works_out_by_hand() -> None:
    # deviations from the mean 4: −3, −2, 0, 1, 4: squares sum to 30
    found = summarize([5, 1, 8, 2, 4])
    assert (found.n, found.mean) == (5, 4)
    assert found.deviation == pytest.approx(math.sqrt(30 / 4))


def test_a_summary_of_one_value_has_neither_deviation_nor_interval() -> None:
    found = summarize([0.5])
    assert (found.n, found.mean) == (1, 0.5)
    assert math.isnan(found.deviation)
    assert math.isnan(found.interval.low)


def test_there_is_no_summary_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values to summarize"):
        summarize([])


@given(samples(1, 12), st.randoms())
@of_every_case
def test_a_summary_does_not_see_the_order_of_the_runs(values: list[float], random: Random) -> None:
    shuffled = random.sample(values, len(values))
    assert repr(summarize(shuffled)) == repr(summarize(values))


@given(samples(2), grid())
@of_every_case
def test_a_constant_added_to_all_values_moves_the_summary_and_leaves_its_spread(
    values: list[float], constant: float
) -> None:
    plain, moved = summarize(values), summarize([value + constant for value in values])
    assert moved.deviation == pytest.approx(plain.deviation, abs=1e-12)
    assert moved.mean == pytest.approx(plain.mean + constant, abs=1e-12)
    assert moved.interval == pytest.approx(tuple(end + constant for end in plain.interval), abs=1e-9, nan_ok=True)


@given(samples(2))
@of_every_case
def test_negated_values_give_the_mirrored_summary(values: list[float]) -> None:
    plain, mirrored = summarize(values), summarize([-value for value in values])
    assert mirrored.deviation == pytest.approx(plain.deviation, abs=1e-12)
    assert mirrored.mean == pytest.approx(-plain.mean, abs=1e-12)
    low, high = plain.interval
    assert mirrored.interval == pytest.approx((-high, -low), abs=1e-9, nan_ok=True)


@given(samples(3, 12))
@of_every_case
def test_the_interval_contains_the_mean(values: list[float]) -> None:
    found = summarize(values)
    assert found.interval.low - 1e-12 <= found.mean <= found.interval.high + 1e-12


# Comparisons


def test_a_paired_comparison_of_five_seeds_is_what_one_works_out_by_hand() -> None:
    # differences 1, 2, 3, 4, 5 whatever the seeds' own levels
    found = compare_pairs([11, 22, 33, 44, 55], [10, 20, 30, 40, 50], True)
    half = T_OF_4 * math.sqrt(0.5)
    assert (found.n, found.wins, found.difference) == (5, 5, 3)
    assert found.interval == pytest.approx((3 - half, 3 + half), abs=1e-6)


def test_differences_that_cancel_have_a_mean_of_nothing_even_where_floats_round() -> None:
    ours, theirs = [0.217, 0.422, 0.029], [0.422, 0.029, 0.217]

    assert np.subtract(ours, theirs).mean() != 0
    assert compare_pairs(ours, theirs, higher_is_better=True).difference == 0


def test_pairing_finds_what_is_lost_in_the_spread_between_seeds() -> None:
    ours, theirs = [1.1, 5.1, 9.0, 13.2], [1.0, 5.0, 8.9, 13.0]
    found = compare_pairs(ours, theirs, True)
    assert found.interval.low > 0
    assert estimate_interval(ours).low < np.mean(theirs)


def test_one_run_each_gives_a_difference_alone() -> None:
    found = compare_pairs([0.75], [0.5], True)
    assert (found.n, found.difference, found.wins) == (1, 0.25, 1)
    assert math.isnan(found.interval.low)


@pytest.mark.parametrize("n", [3, 5, 12])
def test_the_same_difference_at_every_seed_has_an_interval_of_no_width(n: int) -> None:
    ours, theirs = [0.1 + number / 10 for number in range(n)], [number / 10 for number in range(n)]
    assert compare_pairs(ours, theirs, True).interval == pytest.approx((0.1, 0.1), abs=1e-12)


@given(paired(2, 9), st.randoms())
@of_every_case
def test_the_order_of_the_seeds_changes_nothing_in_a_comparison(
    pairs: list[tuple[float, float]],
    random: Random,
) -> None:
    shuffled = random.sample(pairs, len(pairs))
    assert repr(compare_pairs(*sides(shuffled), True)) == repr(compare_pairs(*sides(pairs), True))


def assert_mirrored(found: Comparison, of: Comparison) -> None:
    assert found.n == of.n
    assert found.difference == -of.difference
    assert found.interval == pytest.approx((-of.interval.high, -of.interval.low), abs=1e-9, nan_ok=True)


@given(paired(1), st.booleans())
@of_every_case
def test_swapping_the_sides_mirrors_a_comparison(pairs: list[tuple[float, float]], higher: bool) -> None:
    ours, theirs = sides(pairs)
    forth, back = compare_pairs(ours, theirs, higher), compare_pairs(theirs, ours, higher)
    assert_mirrored(back, forth)
    assert forth.wins + back.wins + sum(a == b for a, b in pairs) == len(pairs)


@given(paired(2), grid(), st.booleans())
@of_every_case
def test_a_constant_added_to_both_sides_changes_nothing_in_a_comparison(
    pairs: list[tuple[float, float]], constant: float, higher: bool
) -> None:
    ours, theirs = sides(pairs)
    moved = [value + constant for value in ours], [value + constant for value in theirs]
    assert repr(compare_pairs(*moved, higher)) == repr(compare_pairs(ours, theirs, higher))


@given(paired(2), st.sampled_from([0.1, 0.3, 7.0, 1000.0]))
@of_every_case
def test_a_positive_factor_scales_the_difference_and_keeps_the_wins(
    pairs: list[tuple[float, float]], factor: float
) -> None:
    ours, theirs = sides(pairs)
    scaled = [factor * value for value in ours], [factor * value for value in theirs]
    one, other = compare_pairs(*scaled, True), compare_pairs(ours, theirs, True)
    assert one.difference == pytest.approx(factor * other.difference, abs=1e-9)
    assert one.wins == other.wins
    assert one.interval == pytest.approx([factor * end for end in other.interval], abs=1e-7, nan_ok=True)


# Holm's correction


# Published figures


def test_the_prediction_interval_is_that_of_the_formula() -> None:
    # n = 5: mean 3, s = √2.5, half = t · s · √(1 + 1/5) = t · √3
    found = judge_reproduction([1, 2, 3, 4, 5], 3)
    half = T_OF_4 * math.sqrt(3)
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half), abs=1e-6)
    assert found.verdict == "reproduced"


@pytest.mark.parametrize(("published", "verdict"), [(-1.80, "reproduced"), (-1.82, "differs"), (7.82, "differs")])
def test_a_published_figure_outside_the_prediction_interval_differs(published: float, verdict: str) -> None:
    found = judge_reproduction([1, 2, 3, 4, 5], published)  # 3 ± 4.8089
    assert (found.published, found.verdict) == (published, verdict)


@pytest.mark.parametrize("values", [[], [0.5]])
def test_fewer_than_two_runs_are_not_comparable_with_a_published_figure(values: list[float]) -> None:
    found = judge_reproduction(values, 0.5)
    assert found.verdict == "not comparable"
    assert math.isnan(found.low)


@given(samples(3))
@of_every_case
def test_the_mean_itself_is_reproduced_and_the_prediction_is_wider_than_the_interval_of_the_mean(
    values: list[float],
) -> None:
    mean = float(np.mean(values))
    found, interval = judge_reproduction(values, mean), estimate_interval(values)
    assert found.verdict == "reproduced"
    assert found.low <= interval.low + 1e-12
    assert interval.high - 1e-12 <= found.high


# Thresholds


def test_the_leukaemia_remissions_of_gehan_have_the_medians_of_the_textbooks() -> None:
    # Freireich et al., 1963; Gehan, 1965: weeks in remission, + where censored. Kaplan–Meier medians: 23 and 8.
    times = [6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    treated = measure_reach(times, [True] * 9 + [False] * 12)
    assert (treated.n, treated.reached, treated.median) == (21, 9, 23)
    placebo = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
    assert measure_reach(placebo, [True] * 21).median == 8


def test_runs_that_never_reach_it_count_as_later_than_those_that_do() -> None:
    found = measure_reach([100, 200, 300, 1000, 1000], [True, True, True, False, False])
    assert (found.n, found.reached, found.median) == (5, 3, 300)


def test_there_is_no_median_where_fewer_than_half_reach_it() -> None:
    found = measure_reach([100, 200, 1000, 1000, 1000], [True, True, False, False, False])
    assert (found.n, found.reached) == (5, 2)
    assert math.isnan(found.median)
    none = measure_reach([1000, 1000], [False, False])
    assert (none.n, none.reached) == (2, 0)
    assert math.isnan(none.median)


@pytest.mark.parametrize("half", [*range(1, 30), 100])
def test_exactly_half_is_enough_for_a_median_though_floats_round(half: int) -> None:
    assert measure_reach([*range(1, half + 1), *[1000] * half], [True] * half + [False] * half).median == half


def test_one_run_reaches_it_when_it_does() -> None:
    found = measure_reach([70], [True])
    assert (found.n, found.reached, found.median) == (1, 1, 70)


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=12), st.randoms())
@of_every_case
def test_the_median_time_does_not_see_the_order_of_the_runs_and_scales_with_the_clock(
    runs: list[tuple[int, bool]],
    random: Random,
) -> None:
    steps, reached = [step for step, _ in runs], [did for _, did in runs]
    found = measure_reach(steps, reached)
    shuffled = random.sample(runs, len(runs))
    assert repr(measure_reach([step for step, _ in shuffled], [did for _, did in shuffled])) == repr(found)
    assert measure_reach([10 * step for step in steps], reached).median == pytest.approx(10 * found.median, nan_ok=True)
