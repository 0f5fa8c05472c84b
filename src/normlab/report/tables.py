"""Tables of an ablation: a tidy frame with full precision, and one table per metric for everything that is printed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from normlab.report.ablation import Ablation, Cell, Variant
from normlab.report.columns import Column, format_mean, select_columns
from normlab.report.formatting import NOTHING, Entry, Footnotes, format_counts, format_number, format_signed
from normlab.report.load import Run
from normlab.report.variants import format_label

STATUSES = ("finished", "diverged", "failed", "interrupted", "running", "died")
CONDITIONS = ("precision", "device", "threads")
"""Keys of the environment that every table states."""
COLUMNS = {
    "deviation": "standard_deviation",
    "published_published": "published",
    "published_low": "prediction_low",
    "published_high": "prediction_high",
    "published_verdict": "verdict",
    "published_why": "verdict_why",
    "difference_difference": "difference",
    "difference_n": "pairs",
    "difference_effect": "effect_size",
    "difference_improvement": "probability_of_improvement",
}


@dataclass(frozen=True)
class Row:
    """A variant in a table of one metric."""

    variant: Variant
    values: list[str]
    """Of the factors; the name of the variant if there are none."""
    entries: list[Entry]
    is_best: bool


@dataclass(frozen=True)
class Table:
    """One metric of all variants: a column per factor, then those of `columns.py` that apply."""

    metric: str
    factors: list[str]
    columns: list[Column]
    rows: list[Row]
    notes: Footnotes

    @property
    def headings(self) -> list[str]:
        return [*self.factors, *(column.heading for column in self.columns)]

    @property
    def text(self) -> list[list[str]]:
        """The rows as text, with values of factors that repeat those of the row above left out."""
        rows = [[*row.values, *(entry.text for entry in row.entries)] for row in self.rows]
        return blank_repeats(rows, len(self.factors) - 1)


def build_table(ablation: Ablation, metric: str, variants: Sequence[Variant], is_short: bool = True) -> Table:
    """Build the table of one metric.

    Args:
        ablation: the analysis.
        metric: final metric.
        variants: its rows.
        is_short: leave out the columns that are on the page alone.
    """
    columns = [column for column in select_columns(ablation, metric) if column.is_short or not is_short]
    notes, best = Footnotes(), ablation.rank(metric)[:1]
    rows = []
    for variant in variants:
        cell = variant.cells.get(metric, Cell())
        entries = [column.build(variant, cell, notes) for column in columns]
        rows.append(Row(variant, [*variant.label.values()] or [variant.name], entries, best == [variant]))
    return Table(metric, ablation.factors or ["variant"], columns, rows, notes)


def blank_repeats(rows: Sequence[Sequence[str]], count: int) -> list[list[str]]:
    """Return rows of text in which the first `count` cells are empty as far as they repeat those of the row above."""
    blanked: list[list[str]] = []
    above: Sequence[str] = ()
    for row in rows:
        kept = next((place for place in range(count) if not above or row[place] != above[place]), count)
        blanked.append([*[""] * kept, *row[kept:]])
        above = row
    return blanked


def tabulate(ablation: Ablation) -> pd.DataFrame:
    """Return a row per variant and metric with all its numbers; unknown ones are empty."""
    rows = [_build_row(variant, metric) for variant in ablation.variants for metric in ablation.metrics]
    return pd.DataFrame(rows).rename(columns=COLUMNS)


def _build_row(variant: Variant, metric: str) -> dict[str, Any]:
    cell, counts = variant.cells[metric], variant.counts
    # Readers of CSV take "null" for a missing value.
    label = {key: "none" if value == "null" else value for key, value in variant.label.items()}
    row: dict[str, Any] = {"variant": variant.name, **label, "metric": metric}
    row |= {**_summarize_conditions(variant.runs), "runs": len(variant.runs)}
    row |= {f"runs_{status}": counts[status] for status in STATUSES}
    row |= _flatten("", cell.summary)
    row["area_under_curve"] = cell.area.mean if cell.area else None
    row |= _flatten("published_", cell.reproduction)
    row |= {"baseline": variant.against, **_flatten("difference_", cell.comparison)}
    if variant.judged_by == metric:
        row |= {"threshold": variant.threshold, "successes": variant.successes, "successes_of": variant.results}
        row |= _flatten("updates_to_threshold_", variant.reach)
    return row


def _flatten(prefix: str, part: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, and of dataclasses in them, with prefixed names."""
    flat: dict[str, Any] = {}
    for key, value in ({} if part is None else asdict(part)).items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        flat |= {f"{prefix}{key}{name and '_'}{name}": item for name, item in inner}
    return flat


def cross_tabulate(ablation: Ablation) -> pd.DataFrame | None:
    """Return mean ± deviation of the main metric, first factor by second; None unless there are two factors."""
    if len(ablation.factors) != 2 or not ablation.metrics:
        return None
    first, second = ablation.factors
    summaries = {
        (variant.label[first], variant.label[second]): variant.cells[ablation.metric].summary
        for variant in ablation.variants
    }
    differ = len({summary.n for summary in summaries.values() if summary}) > 1
    cells = {
        place: format_mean(summary) + f" (n = {summary.n})" * differ if summary else NOTHING
        for place, summary in summaries.items()
    }
    rows, columns = (list(dict.fromkeys(place[axis] for place in cells)) for axis in (0, 1))
    frame = pd.DataFrame([[cells.get((row, column), NOTHING) for column in columns] for row in rows], rows, columns)
    return frame.rename_axis(index=first, columns=second)


def average_effects(ablation: Ablation) -> pd.DataFrame | None:
    """Return the effect of each factor on the main metric, averaged over the others; None with fewer than two factors.

    A row per factor and value: the mean of the variants' means over those combinations of the other factors that all
    values of the factor have, its difference from the mean at the first value, and the number of combinations.
    """
    if len(ablation.factors) < 2 or not ablation.metrics:
        return None
    means = pd.DataFrame(
        {**variant.label, "mean": summary.mean}
        for variant in ablation.variants
        if (summary := variant.cells[ablation.metric].summary) is not None
    )
    rows = []
    for factor in ablation.factors if len(means) else ():
        others = [other for other in ablation.factors if other != factor]
        grid = means.pivot(index=others, columns=factor, values="mean").dropna()
        values = [value for value in dict.fromkeys(means[factor]) if len(grid)]
        first = grid[values[0]].mean() if values else 0.0
        rows += [(factor, value, grid[value].mean(), grid[value].mean() - first, len(grid)) for value in values]
    headings = ["factor", "value", f"mean {ablation.metric}", "difference from the first", "combinations"]
    return pd.DataFrame(rows, columns=headings) if rows else None


def format_effects(ablation: Ablation) -> tuple[list[str], list[list[str]]] | None:
    """Return headings and rows of the averaged effects as text."""
    effects = average_effects(ablation)
    if effects is None:
        return None
    rows = [
        [factor, value, format_number(mean), format_signed(difference), str(count)]
        for factor, value, mean, difference, count in effects.itertuples(index=False)
    ]
    return list(effects.columns), blank_repeats(rows, 1)


def write_caption(ablation: Ablation) -> str:
    """Describe the content of the printed tables: n, interval, test, published figures and conditions."""
    cells = [cell for variant in ablation.variants for cell in variant.cells.values()]
    summaries = [cell.summary for cell in cells if cell.summary]
    sizes = sorted({summary.n for summary in summaries})
    text = "Mean ± sample standard deviation over seeds"
    if sizes:
        text += f" (n = {sizes[0]}{f' to {sizes[-1]}' if len(sizes) > 1 else ''})"
        text += ", ordinary 95 % interval of the mean (Student's t) from 3 runs on"
    text += "."
    if any(cell.comparison for cell in cells):
        text += (
            f" Differences from {format_label(ablation.baseline)}, paired by seed, and the number of seeds in which the"
            " variant is better."
        )
    if any(cell.reproduction for cell in cells):
        text += (
            " Published figures are single runs by the original author, reproduced if within the 95 % prediction"
            " interval of the seeds."
        )
    return f"{text} {describe_conditions(ablation.results.details)}".rstrip()


def describe_conditions(runs: Sequence[Run]) -> str:
    """Return `Precision: 32-true; device: cpu; threads: 1.`; an empty text if there are no runs."""
    text = "; ".join(f"{key}: {values}" for key, values in _summarize_conditions(runs).items())
    return f"{text[0].upper()}{text[1:]}." if runs else ""


def _summarize_conditions(runs: Sequence[Run]) -> dict[str, str]:
    return {key: format_counts(count_values(runs, key)) for key in CONDITIONS}


def count_values(runs: Sequence[Run], key: str) -> Counter[str]:
    """Count the values of one key of the runs' environments."""
    values = (run.record.environment.get(key) for run in runs)
    return Counter("not recorded" if value is None else str(value) for value in values)
