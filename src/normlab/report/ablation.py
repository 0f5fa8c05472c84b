"""An ablation: its variants, and for each variant one cell per metric."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from normlab.report.formatting import format_interval, format_number
from normlab.report.load import LARGEST, Results, Run
from normlab.report.statistics import Comparison, Reach, Reproduction, Summary
from normlab.report.variants import Label, format_label
from normlab.report.verdicts import JudgedClaim


@dataclass
class Cell:
    """One metric of one variant. Parts that the runs do not give are None; only the main metric has the last three."""

    summary: Summary | None = None
    comparison: Comparison | None = None
    reproduction: Reproduction | None = None
    threshold: float | None = None
    """Value from which a run counts as a success."""
    successes: int | None = None
    """Number of runs that ended at or beyond the threshold."""
    reach: Reach | None = None


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
    claims: list[JudgedClaim]
    source: str
    notes: list[str]
    """Notes on how to read the numbers."""

    @property
    def factors(self) -> list[str]:
        return list(self.variants[0].label) if self.variants else []

    @property
    def title(self) -> str:
        return ", ".join(dict.fromkeys(run.record.experiment for run in self.results.details)) or "no runs"

    @property
    def headline(self) -> str:
        """The claims counted by their verdicts, and the variant farthest from its baseline, or the best one."""
        counts, total = Counter(judged.outcome for judged in self.claims), len(self.claims)
        texts = [f"{counts['supported']} of {total} claim{'s' * (total != 1)} supported"]
        texts += [f"{counts[it]} {it}" for it in ("refuted", "undecided", "not run") if counts[it]]
        effect = self._describe_largest_effect() or self._describe_best()
        return f"{', '.join(texts)}. {effect}." if self.claims else f"{effect}."

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

    def _describe_largest_effect(self) -> str:
        compared = [(it, found) for it in self.variants if (found := it.cells[self.metric].comparison) is not None]
        if not compared:
            return ""
        variant, effect = max(compared, key=lambda pair: abs(pair[1].difference))
        if effect.difference == 0:
            return f"No variant differs from its baseline in {self.metric}"
        rival = next(other.label for other in self.variants if other.name == variant.against)
        varied = [key for key, value in variant.label.items() if value != rival[key]]
        ours, theirs = (format_label({key: label[key] for key in varied}) for label in (variant.label, rival))
        shared = ", ".join(f"{key}={value}" for key, value in variant.label.items() if key not in varied)
        place = f" at {shared}" if shared else ""
        side = "above" if effect.difference > 0 else "below"
        text = f"Largest effect on {self.metric}: {ours} is {format_number(abs(effect.difference))} {side} {theirs}"
        text += f"{place}, better in {effect.wins} of {effect.n} seed{'s' * (effect.n != 1)}"
        if math.isnan(effect.interval.low):
            return text
        return f"{text} (95 % interval {format_interval(*effect.interval, signed=True)})"

    def _describe_best(self) -> str:
        ranked = self.rank(self.metric)
        summary = ranked[0].cells[self.metric].summary if ranked else None
        if summary is None:
            return "No run has finished yet" if self.variants else "There are no runs"
        text = f"{ranked[0].name} has the best {self.metric}, {format_number(summary.mean)}"
        return f"{text} in one run" if summary.n == 1 else f"{text} on average over {summary.n} runs"
