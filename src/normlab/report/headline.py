"""The outcome of an ablation in one line: its claims counted, and the largest effect on its main metric."""

import math
from collections.abc import Sequence

from normlab.report.ablation import Variant
from normlab.report.claims_table import count_outcomes
from normlab.report.formatting import format_interval, format_number
from normlab.report.statistics import Summary
from normlab.report.variants import format_label
from normlab.report.verdicts import JudgedClaim


def summarize_outcome(claims: Sequence[JudgedClaim], variants: Sequence[Variant], metric: str) -> str:
    """Count the claims by their verdicts, and name the variant farthest from its baseline, or the best one."""
    effect = _describe_largest_effect(variants, metric) or _describe_best(variants, metric)
    return " ".join(f"{sentence}." for sentence in (count_outcomes(claims), effect) if sentence)


def _describe_largest_effect(variants: Sequence[Variant], metric: str) -> str:
    compared = [
        (variant, comparison)
        for variant in variants
        if metric in variant.cells and (comparison := variant.cells[metric].comparison) is not None
    ]
    if not compared:
        return ""
    variant, comparison = max(compared, key=lambda pair: abs(pair[1].difference))
    if comparison.difference == 0:
        return f"No variant differs from its baseline in {metric}"
    rival = next(other.label for other in variants if other.name == variant.against)
    ours, theirs = (
        {k: v for k, v in label.items() if v != other[k]}
        for label, other in ((variant.label, rival), (rival, variant.label))
    )
    shared = ", ".join(f"{key}={value}" for key, value in variant.label.items() if key not in ours)
    side = "above" if comparison.difference > 0 else "below"
    text = f"Largest effect on {metric}: {format_label(ours)} is {format_number(abs(comparison.difference))} {side}"
    text += f" {format_label(theirs)}{f' at {shared}' if shared else ''}"
    text += f", better in {comparison.wins} of {comparison.n} seed{'s' * (comparison.n != 1)}"
    if math.isnan(comparison.interval.low):
        return text
    return f"{text} (95 % interval {format_interval(comparison.interval.low, comparison.interval.high, signed=True)})"


def _describe_best(variants: Sequence[Variant], metric: str) -> str:
    summaries = {
        variant.name: cell.summary
        for variant in variants
        if (cell := variant.cells.get(metric)) is not None and cell.summary is not None
    }
    if not summaries:
        return "No run has finished yet" if variants else "There are no runs"
    is_higher = next(cell.higher_is_better for v in variants if (cell := v.cells.get(metric)) is not None)
    best = (max if is_higher else min)(summaries, key=lambda name: summaries[name].mean)
    return f"{best} has the best {metric}, {_describe_mean(summaries[best])}"


def _describe_mean(summary: Summary) -> str:
    if summary.n == 1:
        return f"{format_number(summary.mean)} in one run"
    return f"{format_number(summary.mean)} on average over {summary.n} runs"
