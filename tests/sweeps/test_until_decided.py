"""Settings of sweeps that add seeds until claims are decided, and which seeds those are."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from normlab.errors import ConfigurationError
from normlab.sweeps.until_decided import check_settings, count_further, order_seeds


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("done", 6, 20), r"hydra\.sweeper\.until=done is unknown: choose decided, or null"),
        (("decided", 3, 20), r"hydra\.sweeper\.first_seeds=3 is out of range: choose 6 to 20"),
        (("decided", 10, 8), r"hydra\.sweeper\.max_seeds=8 is out of range: choose 10 to 20"),
        (("decided", 6, 21), r"hydra\.sweeper\.max_seeds=21 is out of range: choose 6 to 20"),
    ],
    ids=str,
)
def test_settings_that_the_judge_could_not_keep_are_mistakes(settings: tuple[str, int, int], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_settings(*settings)


@pytest.mark.parametrize(
    ("given", "total", "expected"),
    [
        ([], 6, "0,1,2,3,4,5"),
        (["seed=7,3,9"], 6, "7,3,9,0,1,2"),
        (["seed=0,1", "seed=1"], 6, "1,0,2,3,4,5"),
        (["seed=range(0,8)"], 6, "0,1,2,3,4,5"),
        (["seed=3,3", "steps=5"], 6, "3,0,1,2,4,5"),
    ],
    ids=str,
)
def test_seeds_of_the_sweep_come_first_and_then_the_smallest_others(
    given: list[str], total: int, expected: str
) -> None:
    assert order_seeds(OverridesParser.create().parse_overrides(given), total) == f"seed={expected}"


@given(st.integers(1, 14))
def test_seeds_are_added_but_never_more_than_are_needed(needed: int) -> None:
    assert 1 <= count_further(needed) <= needed
