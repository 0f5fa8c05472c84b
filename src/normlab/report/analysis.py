"""Analysis of runs: summaries of every metric, and comparisons with the baseline."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from normlab.report.ablation import Ablation, Cell, Variant, higher_is_better
from normlab.report.headline import summarize_outcome
from normlab.report.load import Results, Run
from normlab.report.pairing import compare
from normlab.report.statistics import (
    Reproduction,
    compute_area_under_curve,
    judge_reproduction,
    measure_reach,
    summarize,
)
from normlab.report.variants import Label, choose_baseline, format_label, sort_labels


@dataclass(frozen=True)
class Options:
    """Options of a report; None means the value of the experiment's `report` settings."""

    baseline: str | None = None
    metric: str | None = None
    threshold: float | None = None


def analyse(results: Results, options: Options | None = None) -> Ablation:
    """Summarize every metric of every variant, and compare it with the baseline.

    Raises:
        ValueError: no run has the baseline or the metric of the options.
    """
    options = options or Options()
    settings = _find_settings(results.details)
    grouped: dict[str, list[Run]] = {}
    for run in results.details:
        grouped.setdefault(run.variant, []).append(run)
    labels = {name: runs[0].label for name, runs in grouped.items()}
    usual = settings.get("baseline")
    baseline, notes = _choose_baseline(options.baseline, None if usual is None else str(usual), list(labels.values()))
    variants = [
        Variant(name, label, grouped[name], is_baseline=baseline.items() <= label.items())
        for label, name in _sort(labels, baseline)
    ]
    metrics = _list_metrics(results.details, options.metric or settings.get("metric"), asked=options.metric is not None)
    metric = metrics[0] if metrics else options.metric or "val/accuracy"
    notes += _summarize(variants, metrics, results.curves)
    notes += compare(variants, metrics, baseline)
    for variant in variants:
        own = _find_settings(variant.runs).get("threshold")
        own = float(own) if isinstance(own, int | float) else None
        variant.threshold = own if options.threshold is None else options.threshold
        if variant.threshold is not None and metrics:
            _judge(variant, metric, results.curves)
    return Ablation(
        results=results,
        variants=variants,
        metrics=metrics,
        metric=metric,
        baseline=baseline,
        factors=list(variants[0].label) if variants else [],
        claim=str(settings.get("claim") or ""),
        source=str(settings.get("source") or ""),
        headline=summarize_outcome(variants, metric),
        notes=[*results.problems, *notes],
    )


def _find_settings(runs: Sequence[Run]) -> Mapping[str, Any]:
    """Return the `report` settings of the first run that has any."""
    for run in runs:
        found = run.config.get("report")
        if isinstance(found, Mapping) and any(value is not None for value in found.values()):
            return found
    return {}


def _choose_baseline(asked: str | None, usual: str | None, labels: list[Label]) -> tuple[dict[str, str], list[str]]:
    if asked is not None:
        return choose_baseline(asked, sort_labels(labels, {})), []
    try:
        found = choose_baseline(usual, sort_labels(labels, {}))
    except ValueError:  # only a part of the experiment was run
        found = choose_baseline(None, sort_labels(labels, {}))
    wanted = usual or "none"
    if len(labels) > 1 and wanted not in found.values() and wanted != format_label(found):
        return found, [f"The baseline {wanted} was not run: {format_label(found)} is used instead."]
    return found, []


def _sort(labels: Mapping[str, Label], baseline: Mapping[str, str]) -> list[tuple[Label, str]]:
    names = {tuple(label.items()): name for name, label in labels.items()}
    if len(names) < len(labels):  # runs without labels: one variant, named after its first run
        return [(label, name) for name, label in labels.items()]
    return [(label, names[tuple(label.items())]) for label in sort_labels(list(labels.values()), baseline)]


def _list_metrics(runs: Sequence[Run], wanted: str | None, asked: bool) -> list[str]:
    names = list(dict.fromkeys(name for run in runs for name in run.record.metrics))
    if wanted is None or wanted not in names:
        if asked and names:
            raise ValueError(f"no run has the metric {wanted!r}: choose among {', '.join(names)}")
        wanted = next((name for name in ("val/accuracy", "test/accuracy", *names) if name in names), None)
    return sorted(names, key=lambda name: (name != wanted, not name.endswith("accuracy")))


def _summarize(variants: Sequence[Variant], metrics: Sequence[str], curves: pd.DataFrame) -> list[str]:
    notes = []
    areas = _compute_areas(curves[curves["name"].isin(metrics)])
    for variant in variants:
        for metric in metrics:
            cell = variant.cells[metric] = Cell()
            values = variant.values(metric)
            if values:
                cell.summary = summarize(list(values.values()), higher_is_better(metric))
                cell.reproduction = _judge_reproduction(variant, metric, list(values.values()))
            own = [areas[run.id, metric] for run in variant.finished if (run.id, metric) in areas]
            if own:
                cell.area = summarize(own, higher_is_better(metric))
            unsound = len(variant.finished) - len(values)
            if unsound:
                notes.append(
                    f"{variant.name}: {metric} is missing or not finite in {_runs(unsound)}, left out of that metric."
                )
        if len(variant.finished) < len(variant.runs):
            notes.append(_explain_unfinished(variant))
        if len(variant.finished) == 1:
            notes.append(f"{variant.name}: only one run finished, so there is no deviation and no interval.")
    return notes


def _judge_reproduction(variant: Variant, metric: str, values: list[float]) -> Reproduction | None:
    published = variant.published.get(metric)
    if not isinstance(published, int | float):
        return None
    varied = ", ".join(key for key in variant.label if key != "normalizer")
    if varied:  # published figures are listed by normalizer
        why = f"published for the settings of the experiment, but these runs vary {varied}"
        return Reproduction(float(published), math.nan, math.nan, "not comparable", why)
    return judge_reproduction(values, float(published))


def _explain_unfinished(variant: Variant) -> str:
    others = [run for run in variant.runs if run.status != "finished"]
    counts = ", ".join(f"{count} {status}" for status, count in variant.counts.items() if status != "finished")
    text = f"{variant.name}: {counts} of {_runs(len(variant.runs))}; the results are those of finished runs."
    diverged = [f"{run.record.diverged_at} (seed {run.record.seed})" for run in others if run.status == "diverged"]
    if diverged:
        text += f" The loss was not finite at step {', '.join(diverged[:8])}{', …' * (len(diverged) > 8)}."
    return text


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _compute_areas(curves: pd.DataFrame) -> dict[tuple[str, str], float]:
    found = {}
    for (run, name), rows in curves.groupby(["run_id", "name"], observed=True, sort=False):
        area = compute_area_under_curve(rows["step"], rows["value"])
        if math.isfinite(area):
            found[str(run), str(name)] = area
    return found


def _judge(variant: Variant, metric: str, curves: pd.DataFrame) -> None:
    """Count the runs that end at or beyond the threshold, and measure when they first reach it.

    A diverged run counts as one that never reaches it, censored at its configured last step.
    """
    assert variant.threshold is not None
    variant.judged_by = metric
    sign = 1 if higher_is_better(metric) else -1
    threshold = sign * variant.threshold
    variant.successes = sum(sign * value >= threshold for value in variant.values(metric).values())
    rows = curves[(curves["variant"] == variant.name) & (curves["name"] == metric)]
    by_run = {str(run): own for run, own in rows.groupby("run_id", observed=True)}
    observed = any(run.id in by_run for run in variant.finished) or not variant.finished
    steps, reached = [], []
    for run in variant.runs:
        own = by_run.get(run.id)
        if not run.record.is_result or not observed:
            continue
        passed: list[int] = [] if own is None else own.loc[sign * own["value"] >= threshold, "step"].tolist()
        steps.append(float(min(passed, default=run.record.steps)))
        reached.append(len(passed) > 0)
    if steps:
        variant.reach = measure_reach(steps, reached)
