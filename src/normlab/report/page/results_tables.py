"""Tables of results on the page: one per metric, a row per variant; empty cells have footnotes with the reason."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from normlab.report.ablation import Ablation, Cell, Variant
from normlab.report.conditions import describe_conditions
from normlab.report.formatting import (
    Notes,
    Shown,
    format_count,
    format_interval,
    format_number,
    format_p,
    format_signed,
    sort_key,
)
from normlab.report.statistics import Summary

ONE_RUN = "n = 1: one run gives neither a deviation nor an interval."


@dataclass(frozen=True)
class Group:
    """Adjacent columns with a common title, which may be empty."""

    title: str
    columns: Sequence[str]


@dataclass(frozen=True)
class ResultsTable:
    metric: str
    groups: list[Group]
    rows: list[tuple[Variant, list[Shown]]]
    notes: Notes
    remarks: list[str] = field(default_factory=list)
    """Remarks on the whole table."""


def make_results_tables(ablation: Ablation) -> list[ResultsTable]:
    """Return a table per final metric, the main metric first."""
    return [_make_table(ablation, metric) for metric in ablation.metrics]


def _make_table(ablation: Ablation, metric: str) -> ResultsTable:
    variants, notes = ablation.variants, Notes()
    cells = [variant.cells.get(metric, Cell()) for variant in variants]
    judged = any(variant.judged_by == metric for variant in variants)
    compared = any(variant.against for variant in variants)
    published = any(cell.reproduction for cell in cells)
    rivals = list(dict.fromkeys(variant.against for variant in variants if variant.against))
    groups = [Group("", ["n", "Mean ± sd", "95 % interval", "Median", "IQM", "Best", "Worst", "Area under curve"])]
    if judged:
        limits = list(dict.fromkeys(f"{v.threshold:g}" for v in variants if v.judged_by == metric))
        groups.append(Group(f"Threshold {' or '.join(limits[:3])}", ["Success rate", "Steps to it"]))
    if compared:
        against = f"Difference from {rivals[0]}" if len(rivals) == 1 else "Difference from the baseline"
        columns = ["Difference", "95 % interval", "p (Holm)", "Effect size", "P(improvement)"]
        groups.append(Group(against, columns if len(rivals) == 1 else ["Against", *columns]))
    if published:
        groups.append(Group("Published", ["Value", "Verdict"]))
    rows = []
    for variant, cell in zip(variants, cells, strict=True):
        row = [*_summarize(variant, cell, notes)]
        row += _count_successes(variant, metric, notes) if judged else []
        row += _compare(variant, cell, notes, several=len(rivals) > 1) if compared else []
        row += _compare_with_published(cell, notes) if published else []
        rows.append((variant, row))
    return ResultsTable(metric, groups, rows, notes, _make_remarks(ablation, cells, published))


def _summarize(variant: Variant, cell: Cell, notes: Notes) -> list[Shown]:
    summary, others = cell.summary, len(variant.runs)
    if summary is None:
        why = (
            "No run of the variant has this metric." if variant.finished else f"No run finished: {_describe(variant)}."
        )
        return [Shown("0", "0", f"of {others}"), *(notes.nothing(why) for _ in range(7))]
    spread = Shown(f"{format_number(summary.mean)} ± {format_number(summary.deviation)}", sort_key(summary.mean))
    bounds = Shown(format_interval(summary.interval.low, summary.interval.high), sort_key(summary.interval.low))
    if summary.n == 1:
        spread = Shown(f"{format_number(summary.mean)} ± –", sort_key(summary.mean), mark=notes.mark(ONE_RUN))
        bounds = notes.nothing(ONE_RUN)
    singles = (summary.median, summary.interquartile_mean, summary.best, summary.worst)
    return [
        Shown(str(summary.n), str(summary.n), f"of {others}" if others != summary.n else ""),
        spread,
        bounds,
        *(Shown(format_number(value), sort_key(value)) for value in singles),
        _format_area(cell.area, notes),
    ]


def _format_area(area: Summary | None, notes: Notes) -> Shown:
    if area is None:
        return notes.nothing("The curve of this metric has fewer than two points.")
    return Shown(format_number(area.mean), sort_key(area.mean), f"n = {area.n}")


def _count_successes(variant: Variant, metric: str, notes: Notes) -> list[Shown]:
    if variant.judged_by != metric:
        return [notes.nothing("No threshold is set for this variant.")] * 2
    if not variant.results or variant.successes is None:
        success = notes.nothing("No run has ended yet.")
    else:
        share = variant.successes / variant.results
        success = Shown(f"{share:.0%}".replace("%", " %"), sort_key(share), f"{variant.successes} of {variant.results}")
    if variant.reach is None:
        return [success, notes.nothing("No curve of this metric was recorded.")]
    counts = f"{variant.reach.reached} of {variant.reach.n}"
    if math.isnan(variant.reach.median):
        return [success, notes.nothing("Fewer than half of the runs reach the threshold: there is no median.", counts)]
    return [success, Shown(format_count(variant.reach.median), sort_key(variant.reach.median), counts)]


def _compare(variant: Variant, cell: Cell, notes: Notes, several: bool) -> list[Shown]:
    against = [Shown(variant.against or "")] if several else []
    if variant.is_baseline:
        return [*against, Shown("baseline"), *[Shown("")] * 4]
    compared = cell.comparison
    if compared is None:
        why = (
            "The variant or its baseline has no finished run."
            if variant.against
            else "The variant to compare with was not run."
        )
        return [*against, *(notes.nothing(why) for _ in range(5))]
    pairs = f"{compared.n} {'pair' if compared.paired else 'run'}{'s' * (compared.n != 1)}"
    bounds, effect, p = compared.interval, compared.effect, cell.adjusted_p
    alone = "One pair, or one run on a side: there is no measure of chance."
    least = 2 / 2**compared.n
    bound = f"With {pairs} p cannot be below {format_p(least)}." if compared.paired and least > 0.05 else ""
    return [
        *against,
        Shown(
            format_signed(compared.difference), sort_key(compared.difference), pairs if compared.paired else "unpaired"
        ),
        notes.nothing(alone)
        if math.isnan(bounds.low)
        else Shown(format_interval(bounds.low, bounds.high, of_difference=True), sort_key(bounds.low)),
        notes.nothing(alone)
        if math.isnan(p)
        else Shown(format_p(p), sort_key(p), mark=notes.mark(bound) if bound else "", strong=cell.is_significant),
        notes.nothing(alone if compared.n < 2 else "All values are equal: the standard deviation is zero.")
        if math.isnan(effect)
        else Shown(format_signed(effect, 2), sort_key(effect)),
        Shown(format_number(compared.improvement, 2), sort_key(compared.improvement)),
    ]


def _compare_with_published(cell: Cell, notes: Notes) -> list[Shown]:
    found = cell.reproduction
    if found is None:
        return [notes.nothing("There is no published value, or no finished run to compare with it.")] * 2
    reason = f"{found.why[0].upper()}{found.why[1:]}."
    bounds = "" if math.isnan(found.low) else format_interval(found.low, found.high)
    return [
        Shown(format_number(found.published), sort_key(found.published)),
        Shown(found.verdict, None, bounds, notes.mark(reason)),
    ]


def _make_remarks(ablation: Ablation, cells: Sequence[Cell], published: bool) -> list[str]:
    methods = dict.fromkeys(
        found.interval.method for cell in cells for found in (cell.summary, cell.comparison) if found is not None
    )
    known = [method for method in methods if not method.startswith("none")]
    remarks = [describe_conditions(ablation.results.details)]
    if known:
        remarks.append(f"Intervals: {', '.join(known)}.")
    if any(cell.is_significant for cell in cells):
        remarks.append("Bold: significant at 5 % after Holm's correction.")
    if published:
        remarks.append("In brackets under a verdict: the 95 % prediction interval of one more run.")
    if not any(variant.judged_by for variant in ablation.variants):
        remarks.append("No threshold is set, so there is no success rate.")
    if not published:
        remarks.append("There are no published values of this metric.")
    return remarks


def _describe(variant: Variant) -> str:
    return ", ".join(f"{count} {status}" for status, count in variant.counts.items())
