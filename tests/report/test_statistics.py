"""The statistics of a report against figures worked out otherwise, and the laws that they obey for all values."""

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from random import Random
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normlab.report.comparison import (
    Comparison,
    adjust_by_holm,
    compare_pairs,
    compare_unpaired,
    compute_paired_p,
    compute_unpaired_p,
    estimate_improvement,
)
from normlab.report.statistics import (
    Interval,
    compute_area_under_curve,
    estimate_interval,
    judge_reproduction,
    measure_reach,
    summarize,
)

of_every_case = settings(deadline=None, max_examples=60)
of_slow_cases = settings(deadline=None, max_examples=12)

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


def ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


def share_of_flips(differences: Sequence[int]) -> float:
    """The two-sided p of the sign-flip test, in integers, all flips one after another."""
    observed = abs(sum(differences))
    flips = itertools.product((1, -1), repeat=len(differences))
    means = [abs(sum(sign * value for sign, value in zip(flip, differences, strict=True))) for flip in flips]
    return sum(mean >= observed for mean in means) / float(len(means))


def share_of_deals(ours: Sequence[int], theirs: Sequence[int]) -> float:
    """Twice the smaller one-sided p of the permutation test of two means, in integers, all deals one after another."""
    pooled = [*ours, *theirs]
    sums = [sum(dealt) for dealt in itertools.combinations(pooled, len(ours))]
    above = sum(dealt >= sum(ours) for dealt in sums) / len(sums)
    below = sum(dealt <= sum(ours) for dealt in sums) / len(sums)
    return min(1.0, 2 * min(above, below))


def bca_of_mean(values: Sequence[float], resamples: int) -> tuple[float, float]:
    """Efron & Tibshirani, "An introduction to the bootstrap", 1993, equations 14.9 to 14.15, written down anew."""
    sample, normal = np.asarray(values), NormalDist()
    drawn = np.random.default_rng(7).choice(sample, (resamples, len(sample))).mean(axis=1)
    mean = sample.mean()
    below = ((drawn < mean).sum() + (drawn <= mean).sum()) / 2 / resamples
    bias = normal.inv_cdf(float(below))
    left_out = (sample.sum() - sample) / (len(sample) - 1)
    off = left_out.mean() - left_out
    acceleration = (off**3).sum() / (6 * (off**2).sum() ** 1.5)
    found = []
    for probability in (0.025, 0.975):
        shifted = bias + normal.inv_cdf(probability)
        level = normal.cdf(bias + shifted / (1 - acceleration * shifted))
        found.append(float(np.quantile(drawn, level)))
    return found[0], found[1]


# Intervals and summaries


def test_the_interval_of_five_values_is_that_of_students_t() -> None:
    # mean 3, s² = 10/4, standard error √(2.5 / 5)
    interval = estimate_interval([1, 2, 3, 4, 5])
    assert ends(interval) == pytest.approx((3 - T_OF_4 * math.sqrt(0.5), 3 + T_OF_4 * math.sqrt(0.5)), abs=1e-6)
    assert interval.method == "t"


def test_the_interval_of_two_values_uses_t_with_one_degree_of_freedom() -> None:
    # t(0.975, 1) = 12.7062; standard error of 0 and 2 is 1
    assert ends(estimate_interval([0, 2])) == pytest.approx((1 - 12.7062, 1 + 12.7062), abs=1e-4)


def test_students_sleep_data_have_the_difference_and_the_effect_that_follow_from_what_r_prints() -> None:
    # R: t.test(extra ~ group, sleep, paired = TRUE): mean difference -1.58, t = -4.0621, df = 9; and d_z is t / √n
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    found = compare_pairs(first, second, True)
    assert found.difference == pytest.approx(-1.58)
    assert found.effect == pytest.approx(-4.0621 / math.sqrt(10), abs=1e-5)
    # of nine sizes that are not zero all have one sign: 2 of 2⁹ patterns, zero's own sign aside
    assert compute_paired_p([np.subtract(first, second)]) == [2 / 2**9]


def test_students_sleep_data_unpaired_give_the_interval_of_welch_that_r_prints() -> None:
    # R: t.test(extra ~ group, sleep): -3.3654832 0.2054832
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    found = compare_unpaired(first, second, True)
    assert ends(found.interval) == pytest.approx((-3.3654832, 0.2054832), abs=1e-6)
    assert found.interval.method == "Welch's t"


@pytest.mark.parametrize("n", [1, 2, 9, 10, 30])
def test_equal_values_have_an_interval_of_no_width_and_one_value_has_none(n: int) -> None:
    interval = estimate_interval([0.1] * n)
    if n == 1:
        assert math.isnan(interval.low)
        assert math.isnan(interval.high)
        assert interval.method == "none: one run"
    else:
        assert interval == Interval(0.1, 0.1, "all values equal")


def test_values_are_bootstrapped_from_ten_on() -> None:
    assert estimate_interval(range(9)).method == "t"
    assert estimate_interval(range(10)).method == "BCa bootstrap"


@pytest.mark.parametrize("n", [10, 25, 60])
def test_the_bootstrap_interval_of_skewed_values_is_that_of_the_formula_of_bca(n: int) -> None:
    values = np.random.default_rng(n).exponential(size=n)
    interval = estimate_interval(values)
    # two bootstraps of about 10,000 and 100,000 resamples differ by chance alone
    allowed = 0.06 * (interval.high - interval.low)
    assert ends(interval) == pytest.approx(bca_of_mean(list(values), 100_000), abs=allowed)
    symmetric = values.mean() - interval.low, interval.high - values.mean()
    assert symmetric[1] > 1.1 * symmetric[0]  # which a t interval would not be


def test_intervals_of_normal_values_hold_the_true_mean_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(1)
    for n, repeats, least in ((5, 400, 0.92), (12, 60, 0.82)):  # BCa is known to be short for small samples
        held = 0
        for _ in range(repeats):
            interval = estimate_interval(random.normal(3, 2, n))
            held += interval.low <= 3 <= interval.high
        assert least <= held / repeats <= 0.99, n


def test_a_summary_of_five_values_is_what_one_works_out_by_hand() -> None:
    # deviations from the mean 4: −3, −2, 0, 1, 4: squares sum to 30; the inner three are 2, 4, 5
    found = summarize([5, 1, 8, 2, 4], True)
    assert (found.n, found.mean, found.median, found.best, found.worst) == (5, 4, 4, 8, 1)
    assert found.deviation == pytest.approx(math.sqrt(30 / 4))
    assert found.interquartile_mean == pytest.approx(11 / 3)


def test_a_summary_of_one_value_has_neither_deviation_nor_interval() -> None:
    found = summarize([0.5], False)
    assert (found.n, found.mean, found.median, found.interquartile_mean, found.best, found.worst) == (1, *[0.5] * 5)
    assert math.isnan(found.deviation)
    assert math.isnan(found.interval.low)


def test_there_is_no_summary_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values to summarize"):
        summarize([], True)


@pytest.mark.parametrize(("n", "expected"), [(2, 0.5), (3, 1), (4, 1.5), (8, 3.5), (16, 7.5), (100, 49.5)])
def test_the_interquartile_mean_of_evenly_spaced_values_is_their_middle(n: int, expected: float) -> None:
    assert summarize(range(n), True).interquartile_mean == pytest.approx(expected)


def test_the_interquartile_mean_leaves_out_a_quarter_of_the_values_at_each_end() -> None:
    # of eight, two at each end: (2 + 3 + 5 + 6) / 4
    assert summarize([-1000, 0, 2, 3, 5, 6, 70, 9000], True).interquartile_mean == 4


def test_of_a_loss_the_smallest_is_best() -> None:
    found = summarize([0.3, 0.1, 0.2], False)
    assert (found.best, found.worst) == (0.1, 0.3)


@given(samples(1, 12), st.randoms())
@of_slow_cases
def test_a_summary_does_not_see_the_order_of_the_runs(values: list[float], random: Random) -> None:
    shuffled = random.sample(values, len(values))
    assert repr(summarize(shuffled, True)) == repr(summarize(values, True))


@given(st.lists(grid(), min_size=2, max_size=12, unique=True), st.randoms())
@of_slow_cases
def test_an_interval_does_not_see_the_order_of_the_values_though_it_is_drawn(
    values: list[float], random: Random
) -> None:
    assert estimate_interval(random.sample(values, len(values))) == estimate_interval(values)
    many = [value + more for more in (0, 64) for value in values] * 3
    assert estimate_interval(random.sample(many, len(many))) == estimate_interval(many)


@given(samples(2), grid())
@of_every_case
def test_a_constant_added_to_all_values_moves_the_summary_and_leaves_its_spread(
    values: list[float], constant: float
) -> None:
    plain, moved = summarize(values, True), summarize([value + constant for value in values], True)
    assert moved.deviation == pytest.approx(plain.deviation, abs=1e-12)
    for part in ("mean", "median", "interquartile_mean", "best", "worst"):
        assert getattr(moved, part) == pytest.approx(getattr(plain, part) + constant, abs=1e-12), part
    assert ends(moved.interval) == pytest.approx(tuple(end + constant for end in ends(plain.interval)), abs=1e-9)


@given(st.lists(grid(), min_size=10, max_size=14), grid(), st.sampled_from([0.25, 3.0]))
@of_slow_cases
def test_a_bootstrapped_interval_follows_a_change_of_scale_and_origin(
    values: list[float], constant: float, factor: float
) -> None:
    plain, changed = estimate_interval(values), estimate_interval([factor * value + constant for value in values])
    assert ends(changed) == pytest.approx(tuple(factor * end + constant for end in ends(plain)), abs=1e-9)


@given(samples(2))
@of_every_case
def test_negated_values_with_the_other_direction_give_the_mirrored_summary(values: list[float]) -> None:
    plain, mirrored = summarize(values, True), summarize([-value for value in values], False)
    assert mirrored.deviation == pytest.approx(plain.deviation, abs=1e-12)
    for part in ("mean", "median", "interquartile_mean", "best", "worst"):
        assert getattr(mirrored, part) == pytest.approx(-getattr(plain, part), abs=1e-12), part
    low, high = ends(plain.interval)
    assert ends(mirrored.interval) == pytest.approx((-high, -low), abs=1e-9)


@given(samples(2, 12))
@of_every_case
def test_the_interval_contains_the_mean_and_lies_within_it_of_the_best_and_worst(values: list[float]) -> None:
    found = summarize(values, True)
    assert found.interval.low - 1e-12 <= found.mean <= found.interval.high + 1e-12
    assert found.worst <= found.median <= found.best
    assert found.worst - 1e-12 <= found.interquartile_mean <= found.best + 1e-12


# Comparisons


def test_a_paired_comparison_of_five_seeds_is_what_one_works_out_by_hand() -> None:
    # differences 1, 2, 3, 4, 5 whatever the seeds' own levels
    found = compare_pairs([11, 22, 33, 44, 55], [10, 20, 30, 40, 50], True)
    half = T_OF_4 * math.sqrt(0.5)
    assert (found.n, found.paired, found.difference) == (5, True, 3)
    assert ends(found.interval) == pytest.approx((3 - half, 3 + half), abs=1e-6)
    assert found.effect == pytest.approx(3 / math.sqrt(2.5))
    # 11 > 10; 22 > 10, 20; … so 1 + 2 + 3 + 4 + 5 of the 25 pairs of runs
    assert found.improvement == 15 / 25


def test_differences_that_cancel_have_a_mean_of_nothing_even_where_floats_round() -> None:
    ours, theirs = [0.217, 0.422, 0.029], [0.422, 0.029, 0.217]

    assert np.subtract(ours, theirs).mean() != 0
    assert compare_pairs(ours, theirs, higher_is_better=True).difference == 0


def test_pairing_finds_what_is_lost_in_the_spread_between_seeds() -> None:
    ours, theirs = [1.1, 5.1, 9.0, 13.2], [1.0, 5.0, 8.9, 13.0]
    with_pairs, without = compare_pairs(ours, theirs, True), compare_unpaired(ours, theirs, True)
    assert with_pairs.difference == pytest.approx(without.difference)
    assert with_pairs.interval.low > 0 > without.interval.low
    assert with_pairs.effect > 1 > without.effect


def test_an_unpaired_comparison_is_what_one_works_out_by_hand() -> None:
    # means 3 and 7; squares 2 and 8 over 3 + 3 − 2 degrees: s = √(10/4). Welch: SE = √(1/3 + 4/3), and
    # (5/3)² / ((1/3)²/2 + (4/3)²/2) = 50/17 degrees, t(0.975, 2.9412) = 3.2197 between tabulated 4.3027 and 3.1824
    found = compare_unpaired([2, 3, 4], [5, 7, 9], True)
    assert (found.n, found.paired, found.difference, found.improvement) == (3, False, -4, 0)
    assert found.effect == pytest.approx(-4 / math.sqrt(2.5))
    assert found.interval.high + found.interval.low == pytest.approx(-8)
    quantile = (found.interval.high - found.interval.low) / 2 / math.sqrt(5 / 3)
    assert 3.1824 < quantile < 3.30


def test_one_run_each_gives_a_difference_alone() -> None:
    for found in (compare_pairs([0.75], [0.5], True), compare_unpaired([0.75], [0.5], True)):
        assert (found.n, found.difference, found.improvement) == (1, 0.25, 1)
        assert math.isnan(found.interval.low)
        assert math.isnan(found.effect)
        assert found.interval.method == "none: one run"


def test_one_run_against_several_has_no_interval_and_an_effect_by_the_spread_of_the_several() -> None:
    # squares of 1, 2, 3 about 2 sum to 2, over 1 + 3 − 2 degrees: s = 1
    found = compare_unpaired([5], [1, 2, 3], True)
    assert (found.n, found.difference) == (1, 3)
    assert found.effect == pytest.approx(3)
    assert math.isnan(found.interval.low)


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_the_same_difference_at_every_seed_has_no_effect_size_even_where_floats_round(n: int) -> None:
    assert math.isnan(compare_pairs([0.2] * n, [0.1] * n, True).effect)
    rounded = compare_pairs([0.1 + number / 10 for number in range(n)], [number / 10 for number in range(n)], True)
    assert math.isnan(rounded.effect)
    assert ends(rounded.interval) == pytest.approx((0.1, 0.1), abs=1e-12)


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_two_sides_of_equal_values_have_no_effect_size_and_an_interval_of_no_width(n: int) -> None:
    found = compare_unpaired([0.1] * n, [0.3] * n, True)
    assert math.isnan(found.effect)
    assert found.interval.method == "all values equal"
    assert ends(found.interval) == pytest.approx((-0.2, -0.2))


@given(paired(2, 9), st.randoms())
@of_every_case
def test_the_order_of_the_seeds_changes_nothing_in_a_comparison(
    pairs: list[tuple[float, float]],
    random: Random,
) -> None:
    shuffled = random.sample(pairs, len(pairs))
    for compare in (compare_pairs, compare_unpaired):
        assert repr(compare(*sides(shuffled), True)) == repr(compare(*sides(pairs), True))
    assert compute_paired_p([[a - b for a, b in shuffled]]) == compute_paired_p([[a - b for a, b in pairs]])


@given(st.lists(st.tuples(grid(), grid()), min_size=16, max_size=20), st.randoms())
@settings(deadline=None, max_examples=5)
def test_the_order_of_the_seeds_changes_nothing_where_resamples_are_drawn(
    pairs: list[tuple[float, float]],
    random: Random,
) -> None:
    shuffled = random.sample(pairs, len(pairs))
    assert repr(compare_pairs(*sides(shuffled), True)) == repr(compare_pairs(*sides(pairs), True))
    assert compute_paired_p([[a - b for a, b in shuffled]]) == compute_paired_p([[a - b for a, b in pairs]])
    assert compute_unpaired_p(*sides(shuffled)) == compute_unpaired_p(*sides(pairs))


def assert_mirrored(found: Comparison, of: Comparison) -> None:
    assert (found.n, found.paired) == (of.n, of.paired)
    assert found.difference == -of.difference
    assert found.effect == pytest.approx(-of.effect, nan_ok=True)
    assert found.improvement == pytest.approx(1 - of.improvement)
    assert ends(found.interval) == pytest.approx((-of.interval.high, -of.interval.low), abs=1e-9, nan_ok=True)


@given(paired(1), st.booleans())
@of_every_case
def test_swapping_the_sides_mirrors_a_comparison_and_keeps_its_p(
    pairs: list[tuple[float, float]], higher: bool
) -> None:
    ours, theirs = sides(pairs)
    for compare in (compare_pairs, compare_unpaired):
        assert_mirrored(compare(theirs, ours, higher), compare(ours, theirs, higher))
    differences = [a - b for a, b in pairs]
    assert compute_paired_p([[-value for value in differences]]) == pytest.approx(
        compute_paired_p([differences]), nan_ok=True
    )


@given(paired(2), grid(), st.booleans())
@of_every_case
def test_a_constant_added_to_both_sides_changes_nothing_in_a_comparison(
    pairs: list[tuple[float, float]], constant: float, higher: bool
) -> None:
    ours, theirs = sides(pairs)
    moved = [value + constant for value in ours], [value + constant for value in theirs]
    assert repr(compare_pairs(*moved, higher)) == repr(compare_pairs(ours, theirs, higher))
    one, other = compare_unpaired(*moved, higher), compare_unpaired(ours, theirs, higher)
    assert one.difference == pytest.approx(other.difference, abs=1e-12)
    assert one.effect == pytest.approx(other.effect, abs=1e-9, nan_ok=True)
    assert one.improvement == other.improvement
    assert ends(one.interval) == pytest.approx(ends(other.interval), abs=1e-9)


@given(paired(2, 5), grid())
@of_every_case
def test_a_constant_added_to_both_sides_keeps_p(pairs: list[tuple[float, float]], constant: float) -> None:
    ours, theirs = sides(pairs)
    moved = [value + constant for value in ours], [value + constant for value in theirs]
    assert compute_unpaired_p(*moved) == compute_unpaired_p(ours, theirs)


@given(paired(2), st.sampled_from([0.1, 0.3, 7.0, 1000.0]))
@of_every_case
def test_a_positive_factor_scales_the_difference_and_keeps_effect_p_and_improvement(
    pairs: list[tuple[float, float]], factor: float
) -> None:
    ours, theirs = sides(pairs)
    scaled = [factor * value for value in ours], [factor * value for value in theirs]
    for compare in (compare_pairs, compare_unpaired):
        one, other = compare(*scaled, True), compare(ours, theirs, True)
        assert one.difference == pytest.approx(factor * other.difference, abs=1e-9)
        assert one.effect == pytest.approx(other.effect, abs=1e-6, nan_ok=True)
        assert one.improvement == other.improvement
        assert ends(one.interval) == pytest.approx([factor * end for end in ends(other.interval)], abs=1e-7)
    differences = [a - b for a, b in pairs], [a - b for a, b in zip(*scaled, strict=True)]
    assert compute_paired_p([differences[1]]) == compute_paired_p([differences[0]])


@given(samples(1), samples(1), st.booleans())
@of_every_case
def test_negating_both_sides_and_the_direction_keeps_the_improvement(
    ours: list[float], theirs: list[float], higher: bool
) -> None:
    negated = [-value for value in ours], [-value for value in theirs]
    assert estimate_improvement(*negated, not higher) == estimate_improvement(ours, theirs, higher)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.lists(st.integers(0, 4), min_size=1, max_size=8))
@of_every_case
def test_the_probability_of_improvement_is_the_share_of_pairs_won_with_ties_counting_half(
    ours: list[int], theirs: list[int]
) -> None:
    won = sum(Fraction((a > b) - (a < b) + 1, 2) for a, b in itertools.product(ours, theirs))
    share = float(won / (len(ours) * len(theirs)))
    assert estimate_improvement(ours, theirs, True) == pytest.approx(share)
    assert estimate_improvement(ours, theirs, False) == pytest.approx(1 - share)


# p-values


@pytest.mark.parametrize("n", range(2, 11))
def test_the_smallest_p_of_n_pairs_is_two_in_all_flips(n: int) -> None:
    assert compute_paired_p([range(1, n + 1)]) == [2 / 2**n]


@given(st.lists(st.integers(-6, 6), min_size=2, max_size=8))
@of_every_case
def test_the_paired_p_is_the_share_of_all_sign_flips_with_as_large_a_mean(differences: list[int]) -> None:
    assert compute_paired_p([differences]) == [share_of_flips(differences)]


@given(st.lists(st.tuples(st.integers(9500, 9800), st.integers(-20, 20)), min_size=2, max_size=7))
@of_every_case
def test_ties_between_accuracies_of_ten_thousand_images_are_seen_though_floats_round(
    counts: list[tuple[int, int]],
) -> None:
    differences = [(right + more) / 10_000 - right / 10_000 for right, more in counts]
    assert compute_paired_p([differences]) == [share_of_flips([more for _, more in counts])]


@given(
    st.lists(st.integers(9600, 9620), min_size=2, max_size=5), st.lists(st.integers(9600, 9620), min_size=2, max_size=5)
)
@of_every_case
def test_the_unpaired_p_is_twice_the_smaller_share_of_deals_as_extreme(ours: list[int], theirs: list[int]) -> None:
    expected = share_of_deals(ours, theirs)
    assert compute_unpaired_p(ours, theirs) == pytest.approx(expected)
    as_shares = [right / 10_000 for right in ours], [right / 10_000 for right in theirs]
    assert compute_unpaired_p(*as_shares) == pytest.approx(expected)


def test_the_smallest_unpaired_p_of_five_against_five_is_two_in_all_deals() -> None:
    assert compute_unpaired_p([6, 7, 8, 9, 10], [1, 2, 3, 4, 5]) == pytest.approx(2 / 252)


def test_darwins_maize_gives_the_p_that_fisher_found() -> None:
    # Fisher, "The design of experiments", 1935, section 21: of 2¹⁵ = 32,768 sums 1,726 are as large as 314 or larger
    eighths = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    assert sum(eighths) == 314
    assert compute_paired_p([eighths]) == [1726 / 32768]


def exact_share_by_convolution(differences: Sequence[int]) -> float:
    counts = {0: 1}
    for value in differences:
        grown: dict[int, int] = {}
        for total, ways in counts.items():
            for signed in (total + value, total - value):
                grown[signed] = grown.get(signed, 0) + ways
        counts = grown
    as_large = sum(ways for total, ways in counts.items() if abs(total) >= abs(sum(differences)))
    return as_large / sum(counts.values())


@pytest.mark.parametrize("mean", [0, 1, 2, 3])
@pytest.mark.parametrize("n", [16, 24])
def test_the_drawn_p_of_many_pairs_is_near_the_exact_one(n: int, mean: int) -> None:
    differences = np.round(np.random.default_rng(n).normal(mean, 6, n)).astype(int).tolist()
    assert compute_paired_p([differences])[0] == pytest.approx(exact_share_by_convolution(differences), abs=0.02)


def test_a_drawn_p_is_never_zero() -> None:
    assert 0 < compute_paired_p([[1.0] * 40])[0] < 0.001
    assert 0 < compute_unpaired_p(np.arange(20) + 100, np.arange(20)) < 0.001


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
def test_the_drawn_p_of_many_runs_unpaired_is_near_the_one_of_the_normal_approximation(shift: float) -> None:
    random = np.random.default_rng(3)
    ours, theirs = random.normal(shift, 3, 40), random.normal(0, 3, 40)
    pooled = np.concatenate([ours, theirs])
    # under dealing the difference of the means has the variance of the finite population: s² · (1/n + 1/m)
    z = abs(ours.mean() - theirs.mean()) / (pooled.std(ddof=1) * math.sqrt(2 / 40))
    assert compute_unpaired_p(ours, theirs) == pytest.approx(2 * (1 - NormalDist().cdf(float(z))), abs=0.02)


def test_one_run_each_has_no_p() -> None:
    assert math.isnan(compute_unpaired_p([1], [2]))
    assert math.isnan(compute_unpaired_p([1], [2, 3, 4]))
    assert all(math.isnan(p) for p in compute_paired_p([[1.0], []]))
    assert compute_paired_p([]) == []


def test_sides_that_are_equal_throughout_have_p_one() -> None:
    assert compute_paired_p([[0.0] * 5, [0.0] * 20]) == [1, 1]
    assert compute_unpaired_p([0.5] * 3, [0.5] * 4) == 1
    assert compute_unpaired_p([0.5] * 30, [0.5] * 30) == 1


@given(st.lists(samples(0, 6), min_size=1, max_size=6))
@of_every_case
def test_a_comparison_among_others_has_the_p_that_it_has_alone(groups: list[list[float]]) -> None:
    together = compute_paired_p(groups)
    assert repr(together) == repr([compute_paired_p([values])[0] for values in groups])


def test_a_comparison_among_others_has_the_drawn_p_that_it_has_alone() -> None:
    groups = [np.random.default_rng(number).normal(0.3, 1, 18) for number in range(3)]
    assert compute_paired_p(groups) == [compute_paired_p([values])[0] for values in groups]
    assert len(set(compute_paired_p(groups))) == 3


# Holm's correction


def test_holm_gives_what_r_gives() -> None:
    # R: p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm"): 0.05 0.08 0.09 0.09 0.09
    assert adjust_by_holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    # 4 · 0.005 = 0.02; 3 · 0.01 = 0.03; 2 · 0.03 = 0.06; 0.04 is raised to the one before
    assert adjust_by_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_one_test_is_left_as_it_is_and_nothing_exceeds_one() -> None:
    assert adjust_by_holm([0.04]) == [0.04]
    assert adjust_by_holm([0.5, 0.9]) == [1, 1]
    assert adjust_by_holm([]) == []


def test_what_was_not_tested_does_not_count_among_the_tests() -> None:
    found = adjust_by_holm([0.02, math.nan, 0.03])
    assert found[::2] == pytest.approx([0.04, 0.04])
    assert math.isnan(found[1])


p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(p_values)
@of_every_case
def test_adjusted_p_values_are_no_smaller_no_larger_than_one_and_in_the_same_order(values: list[float]) -> None:
    adjusted = adjust_by_holm(values)
    assert all(raw <= found <= 1 for raw, found in zip(values, adjusted, strict=True))
    assert all(
        found <= max(1e-300, len(values) * raw)
        for raw, found in zip(values, adjusted, strict=True)
        if raw == min(values)
    )
    ranked = sorted(zip(values, adjusted, strict=True))
    assert [found for _, found in ranked] == sorted(adjusted)


@given(p_values, st.randoms())
@of_every_case
def test_adjusting_does_not_depend_on_the_order_of_the_tests(
    values: list[float],
    random: Random,
) -> None:
    order = random.sample(range(len(values)), len(values))
    adjusted = adjust_by_holm(values)
    assert adjust_by_holm([values[place] for place in order]) == [adjusted[place] for place in order]


@given(p_values, st.floats(0, 1))
@of_every_case
def test_one_more_test_never_makes_another_more_significant(values: list[float], more: float) -> None:
    assert all(
        after >= before for before, after in zip(adjust_by_holm(values), adjust_by_holm([*values, more]), strict=False)
    )


# Published figures


def test_the_prediction_interval_is_that_of_the_formula() -> None:
    # n = 5: mean 3, s = √2.5, half = t · s · √(1 + 1/5) = t · √3
    found = judge_reproduction([1, 2, 3, 4, 5], 3)
    half = T_OF_4 * math.sqrt(3)
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half), abs=1e-6)
    assert found.verdict == "reproduced"


@pytest.mark.parametrize(
    ("published", "verdict", "side"),
    [(-1.80, "reproduced", "within"), (-1.82, "differs", "below"), (7.82, "differs", "above")],
)
def test_a_published_figure_outside_the_prediction_interval_differs(published: float, verdict: str, side: str) -> None:
    found = judge_reproduction([1, 2, 3, 4, 5], published)  # 3 ± 4.8089
    assert (found.published, found.verdict) == (published, verdict)
    assert found.why.startswith(side)


@pytest.mark.parametrize("values", [[], [0.5]])
def test_fewer_than_two_runs_are_not_comparable_with_a_published_figure(values: list[float]) -> None:
    found = judge_reproduction(values, 0.5)
    assert found.verdict == "not comparable"
    assert f"n = {len(values)}" in found.why
    assert math.isnan(found.low)


@given(samples(2))
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


# Areas


def test_the_area_under_a_constant_is_its_height_and_under_a_line_its_middle() -> None:
    assert compute_area_under_curve([10, 20, 100], [0.5, 0.5, 0.5]) == 0.5
    assert compute_area_under_curve([0, 100], [0, 1]) == 0.5
    assert compute_area_under_curve([100, 200, 400], [1, 2, 4]) == 2.5  # the line x / 100 from 1 to 4
    assert compute_area_under_curve([0, 1, 3], [0, 2, 2]) == pytest.approx((1 + 4) / 3)


def test_fewer_than_two_steps_have_no_area() -> None:
    for steps in ([], [5], [5, 5]):
        assert math.isnan(compute_area_under_curve(steps, [0.5] * len(steps)))


curves = st.lists(st.tuples(st.integers(1, 64), grid()), min_size=2, max_size=8).map(
    lambda points: [(sum(step for step, _ in points[: place + 1]), value) for place, (_, value) in enumerate(points)]
)


@given(curves, st.data())
@of_every_case
def test_a_point_put_on_the_line_between_two_leaves_the_area_as_it_is(
    points: list[tuple[int, float]], data: st.DataObject
) -> None:
    after = data.draw(st.integers(1, len(points) - 1))
    share = data.draw(st.integers(1, 7)) / 8
    (left, low), (right, high) = points[after - 1], points[after]
    more = [*points[:after], (left + share * (right - left), low + share * (high - low)), *points[after:]]
    area = compute_area_under_curve(*map(list, zip(*points, strict=True)))
    assert compute_area_under_curve(*map(list, zip(*more, strict=True))) == pytest.approx(area, abs=1e-12)
    assert min(value for _, value in points) - 1e-12 <= area <= max(value for _, value in points) + 1e-12


@given(curves, grid(), st.integers(-100, 100))
@of_every_case
def test_the_area_moves_with_the_curve_and_not_with_where_its_steps_begin(
    points: list[tuple[int, float]], constant: float, later: int
) -> None:
    steps, values = [step for step, _ in points], [value for _, value in points]
    area = compute_area_under_curve(steps, values)
    moved = compute_area_under_curve([step + later for step in steps], [value + constant for value in values])
    assert moved == pytest.approx(area + constant, abs=1e-12)
