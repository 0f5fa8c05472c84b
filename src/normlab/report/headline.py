"""The one sentence that tells how an ablation came out."""

import math
from collections.abc import Sequence

from normlab.report.ablation import Variant, higher_is_better


def headline(variants: Sequence[Variant], metric: str) -> str:
    """Return the one sentence that tells the outcome, made of the numbers alone."""
    means = {
        variant.name: summary.mean
        for variant in variants
        if metric in variant.cells and (summary := variant.cells[metric].summary) is not None
    }
    if not means:
        return "No run has finished yet." if variants else "There are no runs."
    better = max if higher_is_better(metric) else min
    best = better((variant for variant in variants if variant.name in means), key=lambda variant: means[variant.name])
    told = f"{best.name} has the best {metric}: {_mean(best, metric)}"
    compared = [variant for variant in variants if variant.name in means and variant.against in means]
    # Where a baseline is the best, the one that comes closest to it is what a reader asks about.
    rivals = [best] if best in compared else [variant for variant in compared if variant.against == best.name]
    if not rivals:
        return f"{told}."
    rival = better(rivals, key=lambda variant: means[variant.name])
    other = str(rival.against) if rival is best else rival.name
    told += f", {_difference(means[best.name] - means[other])} {other}"
    cell = rival.cells[metric]
    if math.isnan(cell.adjusted_p):
        return f"{told}; a single run on either side tells nothing about chance."
    verdict = "significant" if cell.is_significant else "not significant"
    return f"{told} ({verdict} at 5 %: p = {cell.adjusted_p:.2g} after Holm's correction)."


def _mean(variant: Variant, metric: str) -> str:
    summary = variant.cells[metric].summary
    assert summary is not None
    if summary.n == 1:
        return f"{summary.mean:.4f} in one run"
    low, high = summary.interval.low, summary.interval.high
    return f"{summary.mean:.4f} on average over {summary.n} runs (95 % interval {low:.4f} to {high:.4f})"


def _difference(value: float) -> str:
    if abs(value) < 0.00005:
        return "level with"
    return f"{abs(value):.4f} {'above' if value > 0 else 'below'}"
