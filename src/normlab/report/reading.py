"""Readings: the values of one metric in single runs, and the value that a claim is about."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from normlab.report.claims import Claim, Selector
from normlab.report.load import LARGEST, Results, Run
from normlab.report.statistics import Bounds
from normlab.report.variants import Label, describe_run

Numbers: TypeAlias = "pd.Series[float]"
"""A number per seed."""


@dataclass(frozen=True)
class Case:
    """A variant as a claim sees it."""

    name: str
    runs: Mapping[int, Run]
    """By seed."""

    @property
    def factors(self) -> Label:
        return next(iter(self.runs.values())).label

    @cached_property
    def values(self) -> dict[str, str]:
        """All choices and keys that can change results."""
        run = next(iter(self.runs.values()))
        return describe_run(run.config, run.record.choices)

    def matches(self, selector: Selector) -> bool:
        """Whether the variant has all values of a selector."""
        return selector.items() <= self.values.items()


@dataclass(frozen=True)
class MetricReading:
    """The values of one metric in single runs."""

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
    def points(self) -> dict[str, list[tuple[int, float]]]:
        """Run id → steps and values of its curve of the metric."""
        curves = self.results.curves[self.results.curves["name"] == self.metric]
        groups = curves.groupby("run_id", observed=True)
        return {str(run): [*zip(rows["step"].tolist(), rows["value"].tolist(), strict=True)] for run, rows in groups}

    def read_end(self, run: Run) -> float:
        """Return the final value; that of guessing for a diverged run."""
        value = self.info.get("guess") if run.record.status == "diverged" else run.record.metrics.get(self.metric)
        return math.nan if value is None else float(value)

    def read_steps(self, run: Run, threshold: float) -> float:
        """Return the first step observed at or beyond a threshold; one more than all steps for a run that has none."""
        if run.id not in self.points and run.record.status != "diverged":
            return math.nan
        passed = (step for step, it in self.points.get(run.id, ()) if self.sign * it >= self.sign * threshold)
        return float(min(passed, default=run.record.steps + 1))

    def read_success(self, run: Run, threshold: float) -> float:
        """Return 1 for a run that ends at or beyond a threshold, 0 for others and diverged ones."""
        value = -self.sign * math.inf if run.record.status == "diverged" else self.read_end(run)
        return value if math.isnan(value) else float(self.sign * value >= self.sign * threshold)


@dataclass(frozen=True)
class Reading(MetricReading):
    """The value of each run that a claim is about."""

    claim: Claim

    def read(self, run: Run) -> float:
        """Return the value of a run: nan if it is missing, and if the run diverged and the metric has no guess."""
        if self.claim.at is not None:
            later = self.read_end(run) if run.record.status == "diverged" else math.nan
            return next((value for step, value in self.points.get(run.id, ()) if step == self.claim.at), later)
        if self.claim.until is not None:
            return self.read_steps(run, self.claim.until)
        return self.read_end(run) if self.claim.rate is None else self.read_success(run, self.claim.rate)

    def read_all(self, case: Case) -> Numbers:
        """Return the values of a variant in the order of seeds; those that are missing or not finite are left out."""
        values = {seed: self.read(run) for seed, run in sorted(case.runs.items()) if run.record.is_result}
        return pd.Series({seed: value for seed, value in values.items() if abs(value) < LARGEST}, dtype="float64")

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
            gaps = (np.diff([step for step, _ in points]).min() for points in self.points.values() if len(points) > 1)
            return float(min(gaps, default=0.0))
        return 0.0 if self.claim.rate is not None else float(self.info.get("resolution") or 0.0)
