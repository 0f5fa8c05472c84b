"""Schedules of measurements, in training steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Schedule:
    """Due after step `first` and every `every` steps from then on, unless the schedule `unless` is due."""

    first: int
    every: int
    unless: "Schedule | None" = None

    def is_due(self, step: int) -> bool:
        due = step >= self.first and (step - self.first) % self.every == 0
        return due and not (self.unless is not None and self.unless.is_due(step))

    def count_before(self, step: int) -> int:
        """Count the due steps before this one, ignoring `unless`."""
        return max(0, -(-(step - self.first) // self.every))


def parse_schedules(rules: Mapping[str, Mapping[str, Any]]) -> dict[str, Schedule]:
    """Parse the rules under the config key `observe`."""
    plain = {name: Schedule(rule["first"], rule["every"]) for name, rule in rules.items()}
    return {
        name: Schedule(rule["first"], rule["every"], plain[rule["unless"]]) if rule["unless"] else plain[name]
        for name, rule in rules.items()
    }
