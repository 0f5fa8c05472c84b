"""Headline of a report: the outcome of an ablation in one sentence."""

import math
from collections.abc import Sequence

from normlab.report.ablation import Variant, higher_is_better


def summarize_outcome(variants: Sequence[Variant], metric: str) -> str:
    """Return the outcome in one sentence."""
    means = {
        variant.name: summary.mean
        for variant in variants
        if metric in variant.cells and (summary := variant.cells[metric].summary) is not None
    }
    if not means:
        return "No run has finished yet." if variants else "There are no runs."
    better = max if higher_is_better(metric) else min
    best = better((variant for variant in variants if variant.name in means), key=lambda variant: means[variant.name])
    text = f"{best.name} has the best {metric}: {_format_mean(best, metric)}"
    compared = [variant for variant in variants if variant.name in means and variant.against in means]
    # If a baseline is the best, compare it with its closest rival.
    rivals = [best] if best in compared else [variant for variant in compared if variant.against == best.name]
    if not rivals:
        return f"{text}."
    rival = better(rivals, key=lambda variant: means[variant.name])
    other = str(rival.against) if rival is best else rival.name
    text += f", {_compare(means[best.name] - means[other])} {other}"
    cell = rival.cells[metric]
    if math.isnan(cell.adjusted_p):
        return f"{text}; a single run on either side gives no measure of chance."
    verdict = "significant" if cell.is_significant else "not significant"
    return f"{text} ({verdict} at 5 %: p = {cell.adjusted_p:.2g} after Holm's correction)."


def _format_mean(variant: Variant, metric: str) -> str:
    summary = variant.cells[metric].summary
    assert summary is not None
    if summary.n == 1:
        return f"{summary.mean:.4f} in one run"
    low, high = summary.interval.low, summary.interval.high
    return f"{summary.mean:.4f} on average over {summary.n} runs (95 % interval {low:.4f} to {high:.4f})"


def _compare(value: float) -> str:
    if abs(value) < 0.00005:
        return "level with"
    return f"{abs(value):.4f} {'above' if value > 0 else 'below'}"
