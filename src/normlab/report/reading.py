"""Readings: the value of each run that a claim is about."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from normlab.report.claims import Claim, Selector
from normlab.report.load import Results, Run
from normlab.report.statistics import Bounds
from normlab.report.variants import describe_run, format_label


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
        return describe_run(self._first.config, self._first.record.choices)

    def matches(self, selector: Selector) -> bool:
        """Whether the variant has all values of a selector."""
        return all(self.values.get(key) == value for key, value in selector.items())


@dataclass(frozen=True)
class Reading:
    """The value of each run that a claim is about."""

    claim: Claim
    metric: str
    results: Results

    @property
    def info(self) -> Mapping[str, Any]:
        """What the records say of the metric."""
        return self.results.metrics_info.get(self.metric, {})

    @property
    def sign(self) -> int:
        return 1 if self.results.higher_is_better(self.metric) else -1

    @cached_property
    def points(self) -> dict[str, pd.DataFrame]:
        """Run id → its curve of the metric."""
        rows = self.results.curves[self.results.curves["name"] == self.metric]
        return {str(run): points for run, points in rows.groupby("run_id", observed=True)}

    def read(self, run: Run) -> float:
        """Return the value of a run: nan if it is missing, and if the run diverged and the metric has no guess."""
        if run.status not in ("finished", "diverged"):
            return math.nan
        has_diverged = run.status == "diverged"
        last = self.info.get("guess") if has_diverged else run.record.metrics.get(self.metric)
        last = math.nan if last is None else float(last)
        if self.claim.at is not None:
            points = self.points.get(run.id)
            values = [] if points is None else points.loc[points["step"] == self.claim.at, "value"].tolist()
            return float(values[0]) if values else last if has_diverged else math.nan
        if self.claim.until is not None:
            points = self.points.get(run.id)
            if points is None:
                return run.record.steps + 1 if has_diverged else math.nan
            steps = points.loc[self.passes(points["value"], self.claim.until), "step"].tolist()
            return float(min(steps, default=run.record.steps + 1))
        if self.claim.rate is not None:
            return 0.0 if has_diverged else last if math.isnan(last) else float(self.passes(last, self.claim.rate))
        return last

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
    def bounds(self) -> Bounds:
        if self.claim.rate is not None:
            return 0.0, 1.0
        return (0.0, math.inf) if self.claim.until is not None else self.results.bounds(self.metric)

    @property
    def resolution(self) -> float:
        if self.claim.until is not None:  # the distance of two observations
            gaps = [points["step"].diff().min() for points in self.points.values() if len(points) > 1]
            return float(min(gaps, default=0.0))
        return 0.0 if self.claim.rate is not None else float(self.info.get("resolution") or 0.0)
