"""Analyse runs: summarize every metric of every variant, and compare variants with the baseline."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from normlab.report.ablation import Ablation, Variant
from normlab.report.formatting import format_statuses
from normlab.report.load import Results, Run, get_report_settings
from normlab.report.reading import MetricReading
from normlab.report.statistics import Reproduction, compare_pairs, judge_reproduction, measure_reach, summarize
from normlab.report.tuning import get_main_metric, tune
from normlab.report.variants import Label, choose_baseline, format_label, sort_labels
from normlab.report.verdicts import judge_claims
from normlab.runs.claims import read_budget

MIXED = ("torch", "cpu", "device")
"""Parts of the environment on which a difference can depend."""
MAX_NAMES = 3
"""Number of variants up to which a note names them."""


@dataclass(frozen=True)
class Options:
    """Options of a report; None takes the experiment's own `report` setting."""

    baseline: str | None = None
    metric: str | None = None
    threshold: float | None = None
    tune: str | None = None


def analyse(results: Results, options: Options | None = None) -> Ablation:
    """Summarize and compare all variants. Raises ValueError if the options name something that the runs do not have."""
    options = options or Options()
    spared = _describe_budget(results)
    results, tuning = tune(results, options.tune)
    settings = get_report_settings(results.details)
    labels = [run.label for run in results.details]
    baseline, notes = _choose_baseline(options.baseline, settings.get("baseline"), labels)
    variants = []
    for label in sort_labels(labels, baseline):
        runs = [run for run in results.details if run.label == label]
        variants.append(Variant(runs[0].variant, label, runs, is_baseline=baseline.items() <= label.items()))
    default_metric = get_main_metric(results, results.details)
    metrics = _sort_metrics(results.details, options.metric, default_metric)
    metric = metrics[0] if metrics else options.metric or default_metric
    about = [(it.name, text) for it in variants for text in _summarize(it, metrics, results)]
    about += [(it.name, text) for it in variants for text in _compare(it, variants, baseline, metrics, results)]
    notes += _merge_notes(about, len(variants))
    _apply_thresholds(variants, options.threshold, MetricReading(metric, results))
    claims, problems = judge_claims(results)
    return Ablation(
        results=results,
        variants=variants,
        metrics=metrics,
        metric=metric,
        claims=claims,
        source=str(settings.get("source") or ""),
        notes=[*results.problems, *problems, *tuning, *spared, *notes],
    )


def _merge_notes(notes: Iterable[tuple[str, str]], total: int) -> list[str]:
    """Return sentences, each after the name of a variant, as one for all variants of which the same is true."""
    by_text: dict[str, list[str]] = {}
    for variant, text in notes:
        by_text.setdefault(text, []).append(variant)
    merged = []
    for text, variants in by_text.items():
        subject = ", ".join(variants) if len(variants) <= MAX_NAMES else f"{len(variants)} of {total} variants"
        if len(variants) == total > 1:
            subject = f"All {total} variants" if total > 2 else "Both variants"
        merged.append(f"{subject}: {text}")
    return merged


def _describe_budget(results: Results) -> list[str]:
    """Return notes on the runs that were spared since seeds were added only until claims were decided."""
    notes = []
    for directory in dict.fromkeys(run.directory.experiment for run in results.details):
        budget = read_budget(directory)
        if spared := sum(not (directory / "runs" / run_id).is_dir() for run_id in budget):
            notes.append(
                "Seeds were added only to the variants of undecided claims, so others may have fewer:"
                f" {len(budget) - spared} of the {len(budget)} runs of the budget were made, {spared} spared."
            )
    return notes


def _choose_baseline(option: str | None, default: Any, labels: Sequence[Label]) -> tuple[Label, list[str]]:
    """Return the factors of the baseline, and a note if it is not that of the experiment."""
    labels = sort_labels(labels, {})
    if option is not None:
        return choose_baseline(option, labels), []
    expected = "none" if default is None else str(default)
    try:
        baseline = choose_baseline(None if default is None else expected, labels)
    except ValueError:  # only a part of the experiment was run, without its baseline
        baseline = choose_baseline(None, labels)
    if len(labels) > 1 and expected not in baseline.values() and expected != format_label(baseline):
        return baseline, [f"The baseline {expected} was not run: {format_label(baseline)} is used instead."]
    return baseline, []


def _sort_metrics(runs: Sequence[Run], option: str | None, default: str) -> list[str]:
    """Return all final metrics: the main one, accuracies, others."""
    names = list(dict.fromkeys(name for run in runs for name in run.record.metrics))
    if option is not None and names and option not in names:
        raise ValueError(f"no run has the metric {option!r}: choose among {', '.join(names)}")
    candidates = (option or default, "val/accuracy", "test/accuracy", *names)
    main = next((name for name in candidates if name in names), None)
    return sorted(names, key=lambda name: (name != main, not name.endswith("accuracy")))


def _summarize(variant: Variant, metrics: Sequence[str], results: Results) -> list[str]:
    """Fill in summaries and reproductions of all cells; return notes on missing values."""
    notes, finished = [], len(variant.complete_runs)
    for metric in metrics:
        cell, values = variant.cells[metric], list(variant.values(metric).values())
        if values:
            cell.summary = summarize(values, results.bounds(metric))
            cell.reproduction = _compare_with_published(variant, metric, values)
        if missing := finished - len(values):
            notes.append(f"{metric} is missing or not finite in {_count_runs(missing)}, left out of that metric.")
    if finished < len(variant.runs):
        notes.append(_describe_unfinished(variant))
    stopped = [f"{run.record.stopped_at} (seed {run.record.seed})" for run in variant.runs if run.record.stopped_at]
    if stopped:
        notes.append(f"stopped early by its config, at step {', '.join(stopped)}.")
    if finished == 1:
        notes.append("only one run finished, so there is no deviation and no interval.")
    return notes


def _compare(
    variant: Variant, variants: Sequence[Variant], baseline: Label, metrics: Sequence[str], results: Results
) -> list[str]:
    """Set `against` of a variant, and the comparison of its cells; return notes on them."""
    label = {**variant.label, **baseline}  # the same variant, but with the baseline's values
    rival = next((other for other in variants if other.label == label), None)
    if rival is None:
        return [f"its baseline {format_label(label)} was not run."]
    if rival is variant:
        return []
    variant.against = rival.name
    for metric in metrics:
        mine, other = variant.values(metric), rival.values(metric)
        if shared := sorted(mine.keys() & other.keys()):
            sides = [mine[seed] for seed in shared], [other[seed] for seed in shared]
            found = compare_pairs(*sides, results.higher_is_better(metric), results.bounds(metric))
            variant.cells[metric].comparison = found
    notes = []
    if mixed := _list_differences(variant, rival):
        notes.append(f"it was not trained like {rival.name}: they differ in {', '.join(mixed)}.")
    ours, theirs = ({run.record.seed for run in side.complete_runs} for side in (variant, rival))
    if ours and theirs and ours != theirs:
        how = f"they are compared over the {len(ours & theirs)} seeds they share."
        if not ours & theirs:
            how = "they share none, so they are not compared."
        notes.append(f"it did not finish with the same seeds as {rival.name}: {how}")
    return notes


def _list_differences(variant: Variant, rival: Variant) -> list[str]:
    """Return which of code, torch and kind of processor differ between the two sides of a comparison."""
    both = [run.record for run in (*variant.complete_runs, *rival.complete_runs)]
    mixed = [key for key in MIXED if len({record.environment.get(key) for record in both}) > 1]
    sources = dict.fromkeys(item for record in both for item in record.sources.items())
    return mixed + [f"the code of {name}" for name, count in Counter(name for name, _ in sources).items() if count > 1]


def _compare_with_published(variant: Variant, metric: str, values: list[float]) -> Reproduction | None:
    published = variant.reference_figures.get(metric)
    if not isinstance(published, int | float):
        return None
    is_comparable = variant.label.keys() <= {"normalizer"}  # published for the settings of the experiment
    return judge_reproduction(values if is_comparable else [], float(published))


def _describe_unfinished(variant: Variant) -> str:
    counts = format_statuses({status: n for status, n in variant.counts.items() if status != "finished"})
    text = f"{counts} of {_count_runs(len(variant.runs))}; the results are those of finished runs."
    diverged = [
        f"{run.record.diverged_at} (seed {run.record.seed})" for run in variant.runs if run.status == "diverged"
    ]
    if diverged:
        text += f" The loss was not finite at step {', '.join(diverged[:8])}{', …' * (len(diverged) > 8)}."
    return text


def _count_runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _apply_thresholds(variants: Sequence[Variant], option: float | None, reading: MetricReading) -> None:
    """Count the runs that end at or beyond the threshold of their experiment, and when they first get there.

    A diverged run never gets there: it counts in both, censored at the last step requested.
    """
    for variant in variants:
        threshold = get_report_settings(variant.runs).get("threshold") if option is None else option
        if not isinstance(threshold, int | float):
            continue
        cell, runs = variant.cells[reading.metric], [run for run in variant.runs if run.record.is_result]
        cell.threshold = float(threshold)
        cell.successes = sum(reading.read_success(run, threshold) == 1 for run in runs)
        steps = [(reading.read_steps(run, threshold), run.record.steps) for run in runs if reading.points]
        known = [(step, last) for step, last in steps if not math.isnan(step)]
        if known:
            cell.reach = measure_reach([min(pair) for pair in known], [step <= last for step, last in known])
