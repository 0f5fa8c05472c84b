"""Tables of results on the page: one per metric, a row per variant, every empty cell with its reason."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from normlab.report.ablation import Ablation, Cell, Variant
from normlab.report.formatting import (
    Entry,
    Footnotes,
    format_count,
    format_interval,
    format_number,
    format_signed,
    format_statuses,
)
from normlab.report.statistics import estimate_rate
from normlab.report.tables import describe_conditions

FEW_RUNS = {
    1: "n = 1: one run gives neither a deviation nor an interval.",
    2: "n = 2: two runs give no interval; the best and the worst are both.",
}


@dataclass(frozen=True)
class ResultsTable:
    metric: str
    groups: list[tuple[str, list[str]]]
    """Headings and columns below them; the first has none."""
    rows: list[tuple[Variant, list[Entry]]]
    notes: Footnotes
    remarks: list[str] = field(default_factory=list)
    """Sentences on the table as a whole."""


def build_results_table(ablation: Ablation, metric: str) -> ResultsTable:
    """Build the table of one final metric; groups of columns without any value are left out."""
    variants, notes = ablation.variants, Footnotes()
    cells = [variant.cells.get(metric, Cell()) for variant in variants]
    has_threshold = any(variant.judged_by == metric for variant in variants)
    is_published = any(cell.reproduction for cell in cells)
    rivals = list(dict.fromkeys(variant.against for variant in variants if variant.against))
    groups = [("", ["n", "Mean ± sd", "95 % interval", "Median", "IQM", "Best", "Worst", "Area under curve"])]
    if has_threshold:
        thresholds = list(dict.fromkeys(f"{v.threshold:g}" for v in variants if v.judged_by == metric))
        groups.append((f"Threshold {' or '.join(thresholds[:3])}", ["Success rate", "Steps to threshold"]))
    if rivals:
        columns = ["Difference", "95 % interval", "Better in", "Effect size", "P(improvement)"]
        if len(rivals) == 1:
            groups.append((f"Difference from {rivals[0]}", columns))
        else:
            groups.append(("Difference from the baseline", ["Baseline", *columns]))
    if is_published:
        groups.append(("Published", ["Value", "Verdict"]))
    rows = []
    for variant, cell in zip(variants, cells, strict=True):
        row = _build_summary(variant, cell, notes)
        row += _build_threshold(variant, metric, notes) if has_threshold else []
        row += [Entry(variant.against or "")] if len(rivals) > 1 else []
        row += _build_comparison(variant, cell, notes) if rivals else []
        row += _build_reproduction(cell, notes) if is_published else []
        rows.append((variant, row))
    return ResultsTable(metric, groups, rows, notes, _compose_remarks(ablation, cells, is_published))


def _build_summary(variant: Variant, cell: Cell, notes: Footnotes) -> list[Entry]:
    summary, total = cell.summary, len(variant.runs)
    if summary is None:
        statuses = f"No run finished: {format_statuses(variant.counts)}."
        dash = notes.build_dash("No run of the variant has this metric." if variant.complete_runs else statuses)
        return [Entry("0", 0, f"of {total}"), *[dash] * 7]
    mark = notes.add(FEW_RUNS[summary.n]) if summary.n in FEW_RUNS else ""
    low, high = summary.interval.low, summary.interval.high
    singles = (summary.median, summary.interquartile_mean, summary.best, summary.worst)
    return [
        Entry(str(summary.n), summary.n, f"of {total}" if total != summary.n else ""),
        Entry(f"{format_number(summary.mean)} ± {format_number(summary.deviation)}", summary.mean, mark=mark),
        Entry(format_interval(low, high), low, mark=mark),
        *(Entry(format_number(value), value) for value in singles),
        Entry(format_number(cell.area.mean), cell.area.mean, f"n = {cell.area.n}")
        if cell.area
        else notes.build_dash("The curve of this metric has fewer than two points."),
    ]


def _build_threshold(variant: Variant, metric: str, notes: Footnotes) -> list[Entry]:
    if variant.judged_by != metric:
        return [notes.build_dash("No threshold is set for this variant.")] * 2
    if not variant.results or variant.successes is None:
        success = notes.build_dash("No run has ended yet.")
    else:
        share = variant.successes / variant.results
        low, high = (100 * end for end in estimate_rate(variant.successes, variant.results))
        success = Entry(
            f"{100 * share:.0f} %", share, f"{variant.successes} of {variant.results}, {low:.0f} to {high:.0f} %"
        )
    reach = variant.reach
    if reach is None:
        return [success, notes.build_dash("No curve of this metric was recorded.")]
    small = f"{reach.reached} of {reach.n}"
    if math.isnan(reach.median):
        reason = "Fewer than half of the runs reach the threshold, so there is no median."
        return [success, notes.build_dash(reason, small)]
    return [success, Entry(format_count(reach.median), reach.median, small)]


def _build_comparison(variant: Variant, cell: Cell, notes: Footnotes) -> list[Entry]:
    if variant.is_baseline:
        return [Entry("baseline"), *[Entry("")] * 4]
    comparison = cell.comparison
    if comparison is None:
        reason = (
            "The variant and its baseline share no seed with a finished run."
            if variant.against
            else "Its baseline was not run."
        )
        return [notes.build_dash(reason)] * 5
    pairs = f"{comparison.n} pair{'s' * (comparison.n != 1)}"
    low, high = comparison.interval.low, comparison.interval.high
    effect = Entry(format_signed(comparison.effect, 2), comparison.effect)
    if math.isnan(comparison.effect):
        few = "One pair is too few for this number."
        equal = "All differences are equal, so there is no deviation to divide by."
        effect = notes.build_dash(few if comparison.n == 1 else equal)
    return [
        Entry(format_signed(comparison.difference), comparison.difference, pairs),
        notes.build_dash("Fewer than three pairs give no interval.")
        if math.isnan(low)
        else Entry(format_interval(low, high, signed=True), low),
        Entry(f"{comparison.wins} of {comparison.n}", comparison.wins / comparison.n),
        effect,
        Entry(format_number(comparison.improvement, 2), comparison.improvement),
    ]


def _build_reproduction(cell: Cell, notes: Footnotes) -> list[Entry]:
    reproduction = cell.reproduction
    if reproduction is None:
        return [notes.build_dash("No figure was published, or no run finished.")] * 2
    mark = notes.add(f"{reproduction.why[0].upper()}{reproduction.why[1:]}.")
    bounds = "" if math.isnan(reproduction.low) else format_interval(reproduction.low, reproduction.high)
    published = reproduction.published
    return [Entry(format_number(published), published), Entry(reproduction.verdict, None, bounds, mark)]


def _compose_remarks(ablation: Ablation, cells: Sequence[Cell], is_published: bool) -> list[str]:
    parts = [part for cell in cells for part in (cell.summary, cell.comparison) if part is not None]
    remarks = [describe_conditions(ablation.results.details)]
    if any(not math.isnan(part.interval.low) for part in parts):
        remarks.append("Intervals: ordinary ones, Student's t.")
    if is_published:
        remarks.append("Published figures are single runs by the original author.")
        remarks.append("In brackets below a verdict: the 95 % prediction interval of one more run.")
    if not any(variant.judged_by for variant in ablation.variants):
        remarks.append("No threshold is set, so there is no success rate.")
    return remarks
