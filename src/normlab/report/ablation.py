"""What a report is made of: variants of an ablation, and one cell for each metric of each variant."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from normlab.report.comparison import Comparison
from normlab.report.load import Results, Run
from normlab.report.statistics import Reach, Reproduction, Summary
from normlab.report.variants import Label

SIGNIFICANT = 0.05


@dataclass
class Cell:
    """One metric of one variant. Parts that the runs do not give are None."""

    summary: Summary | None = None
    comparison: Comparison | None = None
    p: float = math.nan
    """Of the permutation test against the baseline, two-sided."""
    adjusted_p: float = math.nan
    """The same after Holm's correction over all tests of the table."""
    reproduction: Reproduction | None = None
    area: Summary | None = None
    """Of the areas under the runs' curves of this metric: their mean heights."""

    @property
    def is_significant(self) -> bool:
        return self.adjusted_p < SIGNIFICANT  # nan is not


@dataclass
class Variant:
    """Runs that differ in their seed alone."""

    name: str
    label: Label
    runs: list[Run]
    is_baseline: bool
    against: str | None = None
    """Name of the variant that it is compared with; None for a baseline, and where there is none."""
    cells: dict[str, Cell] = field(default_factory=dict)
    """By metric."""
    threshold: float | None = None
    """Value of the metric judged at which a run counts as a success."""
    judged_by: str | None = None
    successes: int | None = None
    """Runs that ended at or beyond the threshold."""
    reach: Reach | None = None

    @property
    def counts(self) -> Counter[str]:
        """Runs by status."""
        return Counter(run.status for run in self.runs)

    @property
    def finished(self) -> list[Run]:
        return [run for run in self.runs if run.status == "finished"]

    @property
    def results(self) -> int:
        """Runs with nothing left to do, diverged ones included: what a success rate is a share of."""
        return sum(run.record.is_result for run in self.runs)

    @property
    def published(self) -> Mapping[str, Any]:
        """The published figures of its normalizer; empty where there are none."""
        for run in self.runs:
            found = run.record.published
            figures = found.get(run.record.choices.get("normalizer", "")) if isinstance(found, Mapping) else None
            if isinstance(figures, Mapping):
                return figures
        return {}

    def values(self, metric: str) -> dict[int, float]:
        """Return seed → final value; values that are not finite are left out."""
        found = {run.record.seed: run.record.metrics.get(metric, math.nan) for run in self.finished}
        return {seed: value for seed, value in found.items() if math.isfinite(value)}


@dataclass(frozen=True)
class Ablation:
    """All that tables, figures and page are made of."""

    results: Results
    variants: list[Variant]
    """The baseline first."""
    metrics: list[str]
    """Final metrics, the one that the report judges by first."""
    metric: str
    baseline: Mapping[str, str]
    factors: list[str]
    claim: str
    source: str
    headline: str
    notes: list[str]
    """What a reader must know to read the numbers right, a line each."""

    @property
    def title(self) -> str:
        return ", ".join(dict.fromkeys(run.record.experiment for run in self.results.details)) or "no runs"


def higher_is_better(metric: str) -> bool:
    """Whether larger values of a metric are better: of all but losses and errors."""
    return not any(word in metric.lower() for word in ("loss", "error", "perplexity"))
