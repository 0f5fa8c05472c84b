"""Tuned comparisons: every variant at its own best value of a factor, such as the learning rate."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from normlab.report.claims import MAIN_METRIC
from normlab.report.load import Results, Run, get_report_settings
from normlab.report.reading import MetricReading
from normlab.report.variants import name_variant, parse_number, sort_labels

Grid = Mapping[str, Mapping[int, Run]]
"""Value of the tuned factor → seed → run."""


def tune(results: Results, factor: str | None = None) -> tuple[Results, list[str]]:
    """Keep, for each variant and seed, the run at the value of a factor that is best over the variant's other seeds.

    The factor is chosen by a validation metric, and a run has no part in the choice of its own value. So neither the
    validation nor the test metric of the runs that are kept is the best of several. The default is `report.tune` of the
    experiment; without either, all runs are kept. Return also notes.

    Raises ValueError if the factor that was given does not vary, or if nothing chooses its value; if it is that of the
    experiment, a note says so, and all runs are kept.
    """
    settings = get_report_settings(results.details)
    chosen = factor or settings.get("tune")
    if not chosen or not results.details:
        return results, []
    try:
        return _tune(results, str(chosen), f"val/{str(settings.get('metric') or MAIN_METRIC).rpartition('/')[2]}")
    except ValueError as mistake:
        if factor is not None:
            raise
        return results, [f"Variants are not tuned: {mistake}."]


def get_main_metric(results: Results, runs: Sequence[Run]) -> str:
    """Return the metric of claims and tables that name none; that of the test split if variants are tuned."""
    metric = str(get_report_settings(runs).get("metric") or MAIN_METRIC)
    return f"test/{metric.rpartition('/')[2]}" if results.is_tuned else metric


def _tune(results: Results, factor: str, metric: str) -> tuple[Results, list[str]]:
    variants: dict[str, dict[str, dict[int, Run]]] = {}
    for run in results.details:
        if factor not in run.label:
            known = ", ".join(run.label) or "none"
            raise ValueError(f"report.tune={factor} is no factor in which these runs differ: those are {known}")
        label = {key: value for key, value in run.label.items() if key != factor}
        name = name_variant(label, results.details[0].id)
        tuned = replace(run, label=label, variant=name)
        variants.setdefault(name, {}).setdefault(run.label[factor], {})[run.record.seed] = tuned
    if not any(metric in run.record.metrics for run in results.details):
        raise ValueError(f"report.tune={factor} chooses by {metric}, which no run evaluates")
    # As sorted in tables: numbers in ascending order.
    every = [label[factor] for label in sort_labels([{factor: run.label[factor]} for run in results.details], {})]
    values = [value for value in every if all(value in grid for grid in variants.values())]
    if len(values) < 2:
        raise ValueError(f"report.tune={factor} needs two values that all variants have")
    notes = [
        f"Every variant is compared at its best {factor} among {', '.join(values)}, chosen for each seed by {metric}"
        " of the other seeds."
    ]
    if missing := [value for value in every if value not in values]:
        notes.append(f"Not all variants have {factor}={', '.join(missing)}: left out.")
    kept: list[Run] = []
    at_edge: dict[str, str] = {}
    for name, grid in variants.items():
        choice = _choose({value: grid[value] for value in values}, MetricReading(metric, results))
        kept += [grid[value][seed] for seed, value in choice.items()]
        counts = Counter(choice.values())
        notes.append(f"{name}: {factor} is " + ", ".join(f"{value} in {n}" for value, n in counts.items()) + " seeds.")
        if edges := [value for value in (values[0], values[-1]) if counts[value] and parse_number(value) is not None]:
            at_edge[name] = f"{factor}={', '.join(edges)} lies at the edge of the values tried"
    if not kept:
        raise ValueError(f"report.tune={factor} needs two seeds whose runs have ended at all of its values")
    return _select(results, kept, at_edge), notes


def _choose(grid: Grid, reading: MetricReading) -> dict[int, str]:
    """Return seed → value with the best mean over the other seeds; of equal ones, the one nearest to the middle.

    Only seeds with a result at all values count; if there is only one, nothing is chosen.
    """
    scores = {
        value: {seed: _score(run, reading) for seed, run in runs.items() if run.record.is_result}
        for value, runs in grid.items()
    }
    table = pd.DataFrame(scores).dropna().sort_index()
    if len(table) < 2:
        return {}
    middle, choice = (len(grid) - 1) / 2, {}
    for place, seed in enumerate(table.index):
        means = np.delete(table.to_numpy().T, place, axis=1).mean(axis=1)
        choice[seed] = table.columns[max(range(len(grid)), key=lambda row: (means[row], -abs(row - middle)))]
    return choice


def _score(run: Run, reading: MetricReading) -> float:
    """Return a value of which larger ones are better; a diverged run guesses, or is worst if it has no such value."""
    value = reading.sign * reading.read_end(run)
    return value if math.isfinite(value) else -math.inf


def _select(results: Results, kept: Sequence[Run], at_edge: Mapping[str, str]) -> Results:
    names = {run.id: run.variant for run in kept}
    runs = results.runs.loc[[*names]].assign(variant=[*names.values()])
    curves = results.curves[results.curves["run_id"].isin([*names])]
    curves = curves.assign(variant=curves["run_id"].astype(str).map(names).astype("category"))
    details = tuple(sorted(kept, key=lambda run: (run.variant, run.record.seed)))
    return replace(results, details=details, runs=runs, curves=curves, at_edge=at_edge, is_tuned=True)
