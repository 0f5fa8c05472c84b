"""An ablation: its variants, and for each variant one cell per metric."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from normlab.report.load import LARGEST, Results, Run
from normlab.report.statistics import UNBOUNDED, Bounds, Comparison, Reach, Reproduction, Summary
from normlab.report.variants import Label
from normlab.report.verdicts import JudgedClaim


@dataclass
class Cell:
    """One metric of one variant. Parts that the runs do not give are None."""

    higher_is_better: bool = True
    bounds: Bounds = UNBOUNDED
    summary: Summary | None = None
    comparison: Comparison | None = None
    reproduction: Reproduction | None = None


@dataclass(eq=False)
class Variant:
    """Runs that differ only in their seed."""

    name: str
    label: Label
    runs: list[Run]
    is_baseline: bool
    against: str | None = None
    """Name of the variant that it is compared with; None for a baseline, or if that was not run."""
    cells: dict[str, Cell] = field(default_factory=lambda: defaultdict(Cell))
    """By metric; empty for those that its runs do not have."""
    threshold: float | None = None
    """Value of the metric `judged_by` from which a run counts as a success."""
    judged_by: str | None = None
    successes: int | None = None
    """Number of runs that ended at or beyond the threshold."""
    reach: Reach | None = None

    @property
    def counts(self) -> Counter[str]:
        """Number of runs by status."""
        return Counter(run.status for run in self.runs)

    @property
    def complete_runs(self) -> list[Run]:
        return [run for run in self.runs if run.status == "finished"]

    @property
    def results(self) -> int:
        """Number of finished and diverged runs, the denominator of the success rate."""
        return sum(run.record.is_result for run in self.runs)

    @property
    def reference_figures(self) -> Mapping[str, Any]:
        """Published figures of its normalizer; empty if there are none."""
        for run in self.runs:
            figures = run.record.published.get(run.record.choices.get("normalizer", ""))
            if isinstance(figures, Mapping):
                return figures
        return {}

    def values(self, metric: str) -> dict[int, float]:
        """Return seed → final value; values that are not finite, or too large to be squared, are left out."""
        values = {run.record.seed: run.record.metrics.get(metric, math.nan) for run in self.complete_runs}
        return {seed: value for seed, value in values.items() if abs(value) < LARGEST}


@dataclass(frozen=True)
class Ablation:
    """The content of tables, figures and page."""

    results: Results
    variants: list[Variant]
    """The baseline first."""
    metrics: list[str]
    """Final metrics, the main one first."""
    metric: str
    """The main metric, by which variants are ranked and compared with the threshold."""
    baseline: Mapping[str, str]
    factors: list[str]
    claims: list[JudgedClaim]
    source: str
    headline: str
    notes: list[str]
    """Notes on how to read the numbers."""

    @property
    def title(self) -> str:
        return ", ".join(dict.fromkeys(run.record.experiment for run in self.results.details)) or "no runs"

    def rank(self, metric: str) -> list[Variant]:
        """Return the variants with a value of the metric, the best mean first."""
        sign = -1 if self.results.higher_is_better(metric) else 1
        summaries = [(variant, variant.cells[metric].summary) for variant in self.variants]
        means = {variant: sign * summary.mean for variant, summary in summaries if summary is not None}
        return sorted(means, key=means.__getitem__)

    def select_variants(self, limit: int) -> list[Variant]:
        """Return at most `limit` variants in their order: all, or the best baseline and the best others."""
        ranked = [*self.rank(self.metric), *self.variants]
        baseline = [variant for variant in ranked if variant.is_baseline][:1]
        kept = list(dict.fromkeys([*baseline, *ranked]))[:limit]
        return sorted(kept, key=self.variants.index)
