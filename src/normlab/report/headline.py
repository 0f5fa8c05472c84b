"""The outcome of an ablation in one sentence."""

import math
from collections.abc import Sequence

from normlab.report.ablation import Variant
from normlab.report.statistics import Summary


def summarize_outcome(variants: Sequence[Variant], metric: str) -> str:
    """Name the best variant, and compare it with its baseline; a best baseline is compared with the next best."""
    summaries = {
        variant.name: summary
        for variant in variants
        if metric in variant.cells and (summary := variant.cells[metric].summary) is not None
    }
    if not summaries:
        return "No run has finished yet." if variants else "There are no runs."
    finished = [variant for variant in variants if variant.name in summaries]
    better = max if finished[0].cells[metric].higher_is_better else min
    best = better(finished, key=lambda variant: summaries[variant.name].mean)
    text = f"{best.name} has the best {metric}: {_describe_mean(summaries[best.name])}"
    compared = [variant for variant in finished if variant.against in summaries]
    rivals = [best] if best in compared else [variant for variant in compared if variant.against == best.name]
    if not rivals:
        return f"{text}."
    rival = better(rivals, key=lambda variant: summaries[variant.name].mean)
    other = str(rival.against) if rival is best else rival.name
    difference = summaries[best.name].mean - summaries[other].mean
    relation = f"{abs(difference):.4f} {'above' if difference > 0 else 'below'}"
    text += f", {'level with' if abs(difference) < 0.00005 else relation} {other}"
    cell = rival.cells[metric]
    if math.isnan(cell.adjusted_p):
        return f"{text}; a single run on either side gives no measure of chance."
    verdict = "significant" if cell.is_significant else "not significant"
    return f"{text} ({verdict} at 5 %: p = {cell.adjusted_p:.2g} after Holm's correction)."


def _describe_mean(summary: Summary) -> str:
    if summary.n == 1:
        return f"{summary.mean:.4f} in one run"
    low, high = summary.interval.low, summary.interval.high
    return f"{summary.mean:.4f} on average over {summary.n} runs (95 % interval {low:.4f} to {high:.4f})"
