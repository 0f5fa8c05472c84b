"""Readings: the value of each run that a claim is about."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from normlab.report.claims import Claim, Selector
from normlab.report.load import Run
from normlab.report.variants import describe_settings, format_label


@dataclass(frozen=True)
class Case:
    """A variant as a claim sees it: its factors, and its run for each seed."""

    factors: Mapping[str, str]
    runs: Mapping[int, Run]

    @property
    def name(self) -> str:
        return format_label(self.factors) or self._first.variant

    @property
    def _first(self) -> Run:
        return next(iter(self.runs.values()))

    @cached_property
    def values(self) -> dict[str, str]:
        """Choices of config groups and all keys that can change a result, also those in which no runs differ."""
        return {**self._first.record.choices, **describe_settings(self._first.config)}

    def matches(self, selector: Selector) -> bool:
        """Whether the variant has all values of a selector."""
        return all(self.values.get(key) == value for key, value in selector.items())


@dataclass
class Reading:
    """The value of each run that a claim is about."""

    claim: Claim
    metric: str
    info: Mapping[str, Any]
    curves: pd.DataFrame
    diverged: set[int] = field(default_factory=set)
    """Seeds with a diverged run, as far as they were read."""

    def __post_init__(self) -> None:
        rows = self.curves[self.curves["name"] == self.metric]
        self.points = {str(run): points for run, points in rows.groupby("run_id", observed=True)}
        self.sign = -1 if self.info.get("better") == "lower" else 1

    def read(self, run: Run) -> float:
        """Return the value of a run: nan if it is missing, and if the run diverged and the metric has no guess."""
        if run.status not in ("finished", "diverged"):
            return math.nan
        has_diverged = run.status == "diverged"
        if has_diverged:
            self.diverged.add(run.record.seed)
        guess = self.info.get("guess")
        last = (math.nan if guess is None else float(guess)) if has_diverged else run.record.metrics.get(self.metric)
        claim = self.claim
        if claim.at is not None:
            points = self.points.get(run.id)
            values = [] if points is None else points.loc[points["step"] == claim.at, "value"].tolist()
            return float(values[0]) if values else (last if has_diverged and last is not None else math.nan)
        if claim.until is not None:
            points = self.points.get(run.id)
            if points is None and not has_diverged:
                return math.nan
            steps = [] if points is None else points.loc[self.passes(points["value"], claim.until), "step"].tolist()
            return float(min(steps, default=run.record.steps + 1))
        if claim.rate is not None and has_diverged:
            return 0.0
        if last is None or math.isnan(last):
            return math.nan
        return last if claim.rate is None else float(self.passes(last, claim.rate))

    def passes(self, value: Any, threshold: float) -> Any:
        return self.sign * value >= self.sign * threshold

    def read_all(self, case: Case) -> dict[int, float]:
        """Return seed → value of a variant, in the order of seeds."""
        values = {seed: self.read(run) for seed, run in sorted(case.runs.items())}
        return {seed: value for seed, value in values.items() if not math.isnan(value)}

    @property
    def improvement(self) -> int:
        """Sign of an improvement of the value."""
        if self.claim.comparison == "like" or self.claim.rate is not None:
            return 1
        return -1 if self.claim.until is not None else self.sign

    @property
    def bounds(self) -> tuple[float, float]:
        if self.claim.rate is not None:
            return 0.0, 1.0
        low, high = self.info.get("low"), self.info.get("high")
        if self.claim.until is not None:
            return 0.0, math.inf
        return -math.inf if low is None else low, math.inf if high is None else high

    @property
    def resolution(self) -> float:
        if self.claim.until is not None:  # the distance of two observations
            gaps = [points["step"].diff().min() for points in self.points.values() if len(points) > 1]
            return float(min(gaps, default=0.0))
        return 0.0 if self.claim.rate is not None else float(self.info.get("resolution") or 0.0)
