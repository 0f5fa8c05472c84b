"""Content of a report: the variants of an ablation, and one cell for each metric of each variant."""

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
    """One metric of one variant. Parts that cannot be computed are None."""

    summary: Summary | None = None
    comparison: Comparison | None = None
    p: float = math.nan
    """P-value of the two-sided permutation test against the baseline."""
    adjusted_p: float = math.nan
    """The same after Holm's correction over all tests of the table."""
    reproduction: Reproduction | None = None
    area: Summary | None = None
    """Summary of the areas under the curves of this metric, which are mean heights."""

    @property
    def is_significant(self) -> bool:
        return self.adjusted_p < SIGNIFICANT  # nan is not


@dataclass
class Variant:
    """Runs that differ only in their seed."""

    name: str
    label: Label
    runs: list[Run]
    is_baseline: bool
    against: str | None = None
    """Name of the variant to compare with; None for a baseline, and if that variant was not run."""
    cells: dict[str, Cell] = field(default_factory=dict)
    """By metric."""
    threshold: float | None = None
    """Value of the metric `judged_by` from which a run counts as a success."""
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
        """Number of finished and diverged runs, the denominator of success rates."""
        return sum(run.record.is_result for run in self.runs)

    @property
    def published(self) -> Mapping[str, Any]:
        """The published figures of its normalizer; empty if there are none."""
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
    """Results of an analysis, from which tables, figures and page are made."""

    results: Results
    variants: list[Variant]
    """The baseline first."""
    metrics: list[str]
    """Final metrics, `metric` first."""
    metric: str
    baseline: Mapping[str, str]
    factors: list[str]
    claim: str
    source: str
    headline: str
    notes: list[str]
    """Caveats on the numbers, a line each."""

    @property
    def title(self) -> str:
        return ", ".join(dict.fromkeys(run.record.experiment for run in self.results.details)) or "no runs"


def higher_is_better(metric: str) -> bool:
    """Return whether larger values of a metric are better: for all but losses, errors and perplexities."""
    return not any(word in metric.lower() for word in ("loss", "error", "perplexity"))
