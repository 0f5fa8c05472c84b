"""When observations fall due, and that what they measure is the network in inference mode after the update."""

from typing import Any

import pytest

from normlab.measurements.schedule import Schedule, parse_schedules

DEEP_CNN: dict[str, dict[str, Any]] = {
    "val": {"first": 1, "every": 100, "unless": None},
    "train_batch": {"first": 1, "every": 25, "unless": "val"},
}


def test_the_deep_network_is_observed_after_the_batches_of_the_published_log() -> None:
    due = {
        name: [u - 1 for u in range(1, 801) if schedule.is_due(u)]
        for name, schedule in parse_schedules(DEEP_CNN).items()
    }
    assert due["val"] == [0, 100, 200, 300, 400, 500, 600, 700]
    assert due["train_batch"] == [b for b in range(0, 800, 25) if b % 100]


def test_the_small_networks_are_observed_after_every_thousandth_update() -> None:
    schedule = Schedule(first=1000, every=1000)
    assert [update for update in range(1, 5001) if schedule.is_due(update)] == [1000, 2000, 3000, 4000, 5000]


@pytest.mark.parametrize("schedule", [Schedule(1, 1), Schedule(3, 4), Schedule(1000, 1000), Schedule(1, 100)])
def test_the_count_of_past_observations_numbers_them_from_zero(schedule: Schedule) -> None:
    due = [update for update in range(1, 3001) if schedule.is_due(update)]
    assert [schedule.count_before(update) for update in due] == list(range(len(due)))
