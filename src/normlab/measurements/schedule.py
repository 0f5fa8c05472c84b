"""When something is measured, counted in updates made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Schedule:
    """Due after update `first` and every `every` updates from there, unless another schedule is due too."""

    first: int
    every: int
    unless: "Schedule | None" = None

    def is_due(self, updates: int) -> bool:
        due = updates >= self.first and (updates - self.first) % self.every == 0
        return due and not (self.unless is not None and self.unless.is_due(updates))

    def count_before(self, updates: int) -> int:
        """Return how many times it fell due before this update, whether or not another took its place."""
        return max(0, -(-(updates - self.first) // self.every))


def schedules(rules: Mapping[str, Mapping[str, Any]]) -> dict[str, Schedule]:
    """Return the schedule of each observation in the config key `observe`."""
    plain = {name: Schedule(rule["first"], rule["every"]) for name, rule in rules.items()}
    return {
        name: Schedule(rule["first"], rule["every"], plain[rule["unless"]]) if rule["unless"] else plain[name]
        for name, rule in rules.items()
    }
