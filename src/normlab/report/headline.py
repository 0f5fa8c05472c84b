"""The outcome of an ablation in one line: its claims counted, and the largest effect on its main metric."""

import math
from collections import Counter
from collections.abc import Sequence

from normlab.report.ablation import Variant
from normlab.report.formatting import format_interval, format_number
from normlab.report.judge import Outcome
from normlab.report.variants import format_label
from normlab.report.verdicts import JudgedClaim

OTHERS: tuple[Outcome, ...] = ("refuted", "undecided", "not run")


def summarize_outcome(claims: Sequence[JudgedClaim], variants: Sequence[Variant], metric: str) -> str:
    """Count the claims by their verdicts, and name the variant farthest from its baseline, or the best one."""
    counts = Counter(judged.outcome for judged in claims)
    texts = [f"{counts['supported']} of {len(claims)} claim{'s' * (len(claims) != 1)} supported"]
    texts += [f"{counts[it]} {it}" for it in OTHERS if counts[it]]
    effect = _describe_largest_effect(variants, metric) or _describe_best(variants, metric)
    return f"{', '.join(texts)}. {effect}." if claims else f"{effect}."


def _describe_largest_effect(variants: Sequence[Variant], metric: str) -> str:
    compared = [(variant, found) for variant in variants if (found := variant.cells[metric].comparison) is not None]
    if not compared:
        return ""
    variant, found = max(compared, key=lambda pair: abs(pair[1].difference))
    if found.difference == 0:
        return f"No variant differs from its baseline in {metric}"
    rival = next(other.label for other in variants if other.name == variant.against)
    varied = [key for key, value in variant.label.items() if value != rival[key]]
    ours, theirs = (format_label({key: label[key] for key in varied}) for label in (variant.label, rival))
    shared = ", ".join(f"{key}={value}" for key, value in variant.label.items() if key not in varied)
    side = "above" if found.difference > 0 else "below"
    text = f"Largest effect on {metric}: {ours} is {format_number(abs(found.difference))} {side} {theirs}"
    text += f"{f' at {shared}' if shared else ''}, better in {found.wins} of {found.n} seed{'s' * (found.n != 1)}"
    if math.isnan(found.interval.low):
        return text
    return f"{text} (95 % interval {format_interval(*found.interval, signed=True)})"


def _describe_best(variants: Sequence[Variant], metric: str) -> str:
    found = [(variant, summary) for variant in variants if (summary := variant.cells[metric].summary) is not None]
    if not found:
        return "No run has finished yet" if variants else "There are no runs"
    best = max if found[0][0].cells[metric].higher_is_better else min
    variant, summary = best(found, key=lambda pair: pair[1].mean)
    text = f"{variant.name} has the best {metric}, {format_number(summary.mean)}"
    return f"{text} in one run" if summary.n == 1 else f"{text} on average over {summary.n} runs"
