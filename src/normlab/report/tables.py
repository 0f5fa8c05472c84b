"""Tables of an ablation: a tidy frame with full precision, and one table per metric for everything that is printed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from normlab.report.ablation import Ablation, Variant
from normlab.report.columns import COLUMNS, COMPARED, MEAN, Column, collect_numbers, format_summary
from normlab.report.formatting import NOTHING, Entry, format_counts, format_number, format_signed
from normlab.report.load import Run

STATUSES = ("finished", "diverged", "failed", "interrupted", "running", "died")
CONDITIONS = ("precision", "device", "threads")
"""Keys of the environment that every table states."""


@dataclass(frozen=True)
class Table:
    """One metric of some variants: a column per factor, then those of `columns.py` for which there are numbers."""

    metric: str
    factors: list[str]
    columns: list[Column]
    rows: list[list[Entry]]
    """Each begins with the values of the factors, or the name of the variant if there are none."""
    best: list[int]
    """Place of the row with the best mean, if any has one."""

    @property
    def headings(self) -> list[str]:
        return [*self.factors, *(column.heading for column in self.columns)]

    @property
    def text(self) -> list[list[str]]:
        """The rows as text, with values of factors that repeat those of the row above left out."""
        return blank_repeats([[*map(str, row)] for row in self.rows], len(self.factors) - 1)


def build_table(ablation: Ablation, metric: str, variants: Sequence[Variant]) -> Table:
    """Build the table of one metric, with a row for each of some variants."""
    numbers = [collect_numbers(variant, metric) for variant in variants]
    columns = [column for column in COLUMNS if column.heading == MEAN or any(map(column.is_in, numbers))]
    rows = []
    for variant, its in zip(variants, numbers, strict=True):
        entries = {column.heading: column.build(its) for column in columns}
        if variant.is_baseline:
            texts = {heading: Entry("baseline" if heading == COMPARED[0] else "") for heading in COMPARED}
            entries |= {heading: entry for heading, entry in texts.items() if heading in entries}
        rows.append([*map(Entry, variant.label.values() or [variant.name]), *entries.values()])
    best = [variants.index(variant) for variant in ablation.rank(metric)[:1] if variant in variants]
    return Table(metric, ablation.factors or ["variant"], columns, rows, best)


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
    rows = []
    for variant in ablation.variants:
        # Readers of CSV take "null" for a missing value.
        label = {key: "none" if value == "null" else value for key, value in variant.label.items()}
        counts = {f"runs_{status}": variant.counts[status] for status in STATUSES}
        about_runs = {**counts, **_summarize_conditions(variant.runs)}
        for metric in ablation.metrics:
            numbers = collect_numbers(variant, metric)
            rows.append({"variant": variant.name, **label, "metric": metric, **numbers, **about_runs})
    return pd.DataFrame(rows)


def cross_tabulate(ablation: Ablation) -> tuple[list[str], list[list[str]]] | None:
    """Return headings and rows of mean ± deviation, first factor by second; None unless there are two factors."""
    if len(ablation.factors) != 2 or not ablation.metrics:
        return None
    first, second = ablation.factors
    summaries = {(*it.label.values(),): it.cells[ablation.metric].summary for it in ablation.variants}
    differ = len({summary.n for summary in summaries.values() if summary}) > 1
    texts = {it: format_summary(its) + f" (n = {its.n})" * differ for it, its in summaries.items() if its}
    rows, columns = (list(dict.fromkeys(values)) for values in zip(*summaries, strict=True))
    cells = [[row, *(texts.get((row, column), NOTHING) for column in columns)] for row in rows]
    return [f"{first} / {second}", *columns], cells


def format_effects(ablation: Ablation) -> tuple[list[str], list[list[str]]] | None:
    """Tabulate the effect of each factor on the main metric, averaged over the others; None with fewer than two.

    A row per factor and value: the mean of the variants' means over those combinations of the other factors that all
    values of the factor have, its difference from the mean at the first value, and the number of combinations.
    """
    means = pd.DataFrame(
        {**variant.label, "mean": summary.mean}
        for variant in ablation.rank(ablation.metric)
        if (summary := variant.cells[ablation.metric].summary) is not None
    )
    rows = []
    for factor in ablation.factors if len(ablation.factors) > 1 and len(means) else ():
        others = [other for other in ablation.factors if other != factor]
        values = list(dict.fromkeys(variant.label[factor] for variant in ablation.variants))
        grid = means.pivot(index=others, columns=factor, values="mean").dropna()
        average = grid.mean().reindex(values).dropna()
        for value, mean in average.items():
            difference = format_signed(mean - average.iloc[0])
            rows.append([factor, str(value), format_number(mean), difference, str(len(grid))])
    headings = ["factor", "value", f"mean {ablation.metric}", "difference from the first", "combinations"]
    return (headings, blank_repeats(rows, 1)) if rows else None


def write_caption(ablation: Ablation, columns: Sequence[Column] | None = None) -> str:
    """Explain columns, by default all of all metrics, and name the conditions of the runs."""
    if columns is None:
        numbers = [collect_numbers(variant, metric) for variant in ablation.variants for metric in ablation.metrics]
        columns = [column for column in COLUMNS if any(map(column.is_in, numbers))]
    meanings = [*(column.meaning for column in columns), *([f"{NOTHING}: not available."] if columns else [])]
    return " ".join(filter(None, [*meanings, describe_conditions(ablation.results.details)]))


def describe_conditions(runs: Sequence[Run]) -> str:
    """Return `Precision: 32-true; device: cpu; threads: 1.`; an empty text if there are no runs."""
    text = "; ".join(f"{key}: {values}" for key, values in _summarize_conditions(runs).items())
    return f"{text[0].upper()}{text[1:]}." if runs else ""


def _summarize_conditions(runs: Sequence[Run]) -> dict[str, str]:
    known = [run.record.environment for run in runs]
    return {key: format_counts(Counter(str(it.get(key) or "not recorded") for it in known)) for key in CONDITIONS}
