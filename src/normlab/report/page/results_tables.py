"""The tables of results: one per metric, a row per variant, every cell with its n or the reason why it is empty."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from normlab.report.ablation import Ablation, Cell, Variant
from normlab.report.conditions import conditions_in_words
from normlab.report.formatting import Notes, Shown, decimal, interval, probability, signed, sortable, whole
from normlab.report.statistics import Summary

ONE_RUN = "n = 1: one run gives neither a deviation nor an interval."


@dataclass(frozen=True)
class Group:
    """Columns that belong together; the title is empty where they need none."""

    title: str
    columns: Sequence[str]


@dataclass(frozen=True)
class ResultsTable:
    metric: str
    groups: list[Group]
    rows: list[tuple[Variant, list[Shown]]]
    notes: Notes
    remarks: list[str] = field(default_factory=list)
    """What holds for the table as a whole."""


def results_tables(ablation: Ablation) -> list[ResultsTable]:
    """Return a table for each final metric, the one that the report judges by first."""
    return [_table(ablation, metric) for metric in ablation.metrics]


def _table(ablation: Ablation, metric: str) -> ResultsTable:
    variants, notes = ablation.variants, Notes()
    cells = [variant.cells.get(metric, Cell()) for variant in variants]
    judged = any(variant.judged_by == metric for variant in variants)
    compared = any(variant.against for variant in variants)
    published = any(cell.reproduction for cell in cells)
    rivals = list(dict.fromkeys(variant.against for variant in variants if variant.against))
    groups = [Group("", ["n", "Mean ± sd", "95 % interval", "Median", "IQM", "Best", "Worst", "Area under curve"])]
    if judged:
        limits = list(dict.fromkeys(f"{v.threshold:g}" for v in variants if v.judged_by == metric))
        groups.append(Group(f"Threshold {' or '.join(limits[:3])}", ["Success rate", "Updates to it"]))
    if compared:
        against = f"Difference from {rivals[0]}" if len(rivals) == 1 else "Difference from the baseline"
        columns = ["Difference", "95 % interval", "p (Holm)", "Effect size", "P(improvement)"]
        groups.append(Group(against, columns if len(rivals) == 1 else ["Against", *columns]))
    if published:
        groups.append(Group("Published", ["Value", "Verdict"]))
    rows = []
    for variant, cell in zip(variants, cells, strict=True):
        row = [*_outcome(variant, cell, notes)]
        row += _threshold(variant, metric, notes) if judged else []
        row += _comparison(variant, cell, notes, several=len(rivals) > 1) if compared else []
        row += _published(cell, notes) if published else []
        rows.append((variant, row))
    return ResultsTable(metric, groups, rows, notes, _remarks(ablation, cells, published))


def _outcome(variant: Variant, cell: Cell, notes: Notes) -> list[Shown]:
    summary, others = cell.summary, len(variant.runs)
    if summary is None:
        why = "No run of the variant has this metric." if variant.finished else f"No run finished: {_told(variant)}."
        return [Shown("0", "0", f"of {others}"), *(notes.nothing(why) for _ in range(7))]
    spread = Shown(f"{decimal(summary.mean)} ± {decimal(summary.deviation)}", sortable(summary.mean))
    bounds = Shown(interval(summary.interval.low, summary.interval.high), sortable(summary.interval.low))
    if summary.n == 1:
        spread = Shown(f"{decimal(summary.mean)} ± –", sortable(summary.mean), mark=notes.mark(ONE_RUN))
        bounds = notes.nothing(ONE_RUN)
    singles = (summary.median, summary.interquartile_mean, summary.best, summary.worst)
    return [
        Shown(str(summary.n), str(summary.n), f"of {others}" if others != summary.n else ""),
        spread,
        bounds,
        *(Shown(decimal(value), sortable(value)) for value in singles),
        _area(cell.area, notes),
    ]


def _area(area: Summary | None, notes: Notes) -> Shown:
    if area is None:
        return notes.nothing("The curve of this metric has fewer than two points.")
    return Shown(decimal(area.mean), sortable(area.mean), f"n = {area.n}")


def _threshold(variant: Variant, metric: str, notes: Notes) -> list[Shown]:
    if variant.judged_by != metric:
        return [notes.nothing("No threshold is set for this variant.")] * 2
    if not variant.results or variant.successes is None:
        success = notes.nothing("No run has ended yet.")
    else:
        share = variant.successes / variant.results
        success = Shown(f"{share:.0%}".replace("%", " %"), sortable(share), f"{variant.successes} of {variant.results}")
    if variant.reach is None:
        return [success, notes.nothing("No curve of this metric was recorded.")]
    told = f"{variant.reach.reached} of {variant.reach.n}"
    if math.isnan(variant.reach.median):
        return [success, notes.nothing("Fewer than half of the runs reach the threshold: there is no median.", told)]
    return [success, Shown(whole(variant.reach.median), sortable(variant.reach.median), told)]


def _comparison(variant: Variant, cell: Cell, notes: Notes, several: bool) -> list[Shown]:
    against = [Shown(variant.against or "")] if several else []
    if variant.is_baseline:
        return [*against, Shown("baseline"), *[Shown("")] * 4]
    compared = cell.comparison
    if compared is None:
        why = "The variant or its baseline has no finished run." if variant.against else "There is no baseline to it."
        return [*against, *(notes.nothing(why) for _ in range(5))]
    pairs = f"{compared.n} {'pair' if compared.paired else 'run'}{'s' * (compared.n != 1)}"
    bounds, effect, p = compared.interval, compared.effect, cell.adjusted_p
    alone = "One pair, or one run on a side: nothing can be said of chance."
    least = 2 / 2**compared.n
    bound = f"No p below {probability(least)} can come of {pairs}." if compared.paired and least > 0.05 else ""
    return [
        *against,
        Shown(signed(compared.difference), sortable(compared.difference), pairs if compared.paired else "unpaired"),
        notes.nothing(alone)
        if math.isnan(bounds.low)
        else Shown(interval(bounds.low, bounds.high, of_difference=True), sortable(bounds.low)),
        notes.nothing(alone)
        if math.isnan(p)
        else Shown(probability(p), sortable(p), mark=notes.mark(bound) if bound else "", strong=cell.is_significant),
        notes.nothing(alone if compared.n < 2 else "All values are equal: there is no deviation to measure in.")
        if math.isnan(effect)
        else Shown(signed(effect, 2), sortable(effect)),
        Shown(decimal(compared.improvement, 2), sortable(compared.improvement)),
    ]


def _published(cell: Cell, notes: Notes) -> list[Shown]:
    found = cell.reproduction
    if found is None:
        return [notes.nothing("No figure was published, or there is none of ours.")] * 2
    reason = f"{found.why[0].upper()}{found.why[1:]}."
    bounds = "" if math.isnan(found.low) else interval(found.low, found.high)
    return [
        Shown(decimal(found.published), sortable(found.published)),
        Shown(found.verdict, None, bounds, notes.mark(reason)),
    ]


def _remarks(ablation: Ablation, cells: Sequence[Cell], published: bool) -> list[str]:
    methods = dict.fromkeys(
        found.interval.method for cell in cells for found in (cell.summary, cell.comparison) if found is not None
    )
    known = [method for method in methods if not method.startswith("none")]
    remarks = [conditions_in_words(ablation.results.details)]
    if known:
        remarks.append(f"Intervals: {', '.join(known)}.")
    if any(cell.is_significant for cell in cells):
        remarks.append("Bold: significant at 5 % after Holm's correction.")
    if published:
        remarks.append("In brackets under a verdict: where one more run would end (95 % prediction interval).")
    if not any(variant.judged_by for variant in ablation.variants):
        remarks.append("No threshold is set, so there is no success rate.")
    if not published:
        remarks.append("No figure was published for this metric.")
    return remarks


def _told(variant: Variant) -> str:
    return ", ".join(f"{count} {status}" for status, count in variant.counts.items())
