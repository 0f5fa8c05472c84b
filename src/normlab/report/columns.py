"""The columns of a table of results, in the order of all tables: heading, meaning and cell."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from normlab.report.ablation import Ablation, Cell, Variant
from normlab.report.comparison import Comparison
from normlab.report.formatting import (
    Entry,
    Footnotes,
    format_count,
    format_interval,
    format_number,
    format_signed,
    format_statuses,
)
from normlab.report.statistics import Summary, estimate_rate

Build = Callable[[Variant, Cell, Footnotes], Entry]


@dataclass(frozen=True)
class Column:
    """A column of one metric."""

    heading: str
    meaning: str
    build: Build
    is_short: bool = False
    """Whether it is in printed tables too, not on the page alone."""
    applies: Callable[[Variant, Cell], bool] = lambda variant, cell: True
    """Whether a variant has it; a column that no variant has is left out."""


def select_columns(ablation: Ablation, metric: str) -> list[Column]:
    """Return the columns of one metric that at least one variant has."""
    cells = [(variant, variant.cells.get(metric, Cell())) for variant in ablation.variants]
    return [column for column in COLUMNS if any(column.applies(variant, cell) for variant, cell in cells)]


def _read_summary(read: Callable[[Summary], Entry], needs_three: bool = False) -> Build:
    """Return a function that reads a summary, or gives the reason for which there is none."""

    def build(variant: Variant, cell: Cell, notes: Footnotes) -> Entry:
        if cell.summary is None:
            statuses = f"No run finished: {format_statuses(variant.counts)}."
            return notes.build_dash("No run of the variant has this metric." if variant.complete_runs else statuses)
        if needs_three and cell.summary.n < 3:
            few = "two runs give no interval; the best and the worst are both"
            return notes.build_dash(
                f"n = {cell.summary.n}: {few if cell.summary.n == 2 else 'one run gives no interval'}."
            )
        return read(cell.summary)

    return build


def _read_comparison(read: Callable[[Comparison, Footnotes], Entry], of_baseline: str = "") -> Build:
    """Return a function that reads a comparison, or gives the reason for which there is none."""

    def build(variant: Variant, cell: Cell, notes: Footnotes) -> Entry:
        if variant.is_baseline:
            return Entry(of_baseline)
        if cell.comparison is None:
            unpaired = "The variant and its baseline share no seed with a finished run."
            return notes.build_dash(unpaired if variant.against else "Its baseline was not run.")
        return read(cell.comparison, notes)

    return build


def _build_count(variant: Variant, cell: Cell, notes: Footnotes) -> Entry:
    n, total = cell.summary.n if cell.summary else 0, len(variant.runs)
    return Entry(str(n), n, f"of {total}" if total != n else "")


def _build_area(variant: Variant, cell: Cell, notes: Footnotes) -> Entry:
    if cell.area is None:
        return notes.build_dash("The curve of this metric has fewer than two points.")
    return Entry(format_number(cell.area.mean), cell.area.mean)


def _build_success(variant: Variant, cell: Cell, notes: Footnotes) -> Entry:
    if not variant.results or variant.successes is None:
        return notes.build_dash("No run has ended yet, or no threshold is set for this variant.")
    share = variant.successes / variant.results
    low, high = (100 * end for end in estimate_rate(variant.successes, variant.results))
    small = f"{variant.successes} of {variant.results}, {low:.0f} to {high:.0f} %"
    return Entry(f"{100 * share:.0f} %", share, small)


def _build_reach(variant: Variant, cell: Cell, notes: Footnotes) -> Entry:
    reach = variant.reach
    if reach is None:
        return notes.build_dash("No curve of this metric was recorded, or no threshold is set for this variant.")
    small = f"{reach.reached} of {reach.n}"
    if math.isnan(reach.median):
        return notes.build_dash("Fewer than half of the runs reach the threshold, so there is no median.", small)
    return Entry(format_count(reach.median), reach.median, small)


def _build_interval_of_difference(comparison: Comparison, notes: Footnotes) -> Entry:
    low, high = comparison.interval.low, comparison.interval.high
    if math.isnan(low):
        return notes.build_dash("Fewer than three pairs give no interval.")
    return Entry(format_interval(low, high, signed=True), low)


def _build_effect(comparison: Comparison, notes: Footnotes) -> Entry:
    if math.isnan(comparison.effect):
        return notes.build_dash(
            "One pair is too few for this number."
            if comparison.n == 1
            else "All differences are equal, so there is no deviation to divide by."
        )
    return Entry(format_signed(comparison.effect, 2), comparison.effect)


def _build_published(variant: Variant, cell: Cell, notes: Footnotes) -> Entry:
    found = cell.reproduction
    if found is None:
        return notes.build_dash("No figure was published, or no run finished.")
    mark = notes.add(f"{found.why[0].upper()}{found.why[1:]}.")
    bounds = "" if math.isnan(found.low) else format_interval(found.low, found.high)
    return Entry(f"{format_number(found.published)}, {found.verdict}", found.published, bounds, mark)


def format_mean(summary: Summary) -> str:
    """Return `0.9407 ± 0.0398`; only the mean of a single run."""
    mean = format_number(summary.mean)
    return f"{mean} ± {format_number(summary.deviation)}" if summary.n > 1 else mean


def _single(read: Callable[[Summary], float]) -> Build:
    return _read_summary(lambda summary: Entry(format_number(read(summary)), read(summary)))


def _is_judged(variant: Variant, cell: Cell) -> bool:
    return variant.judged_by is not None and variant.cells.get(variant.judged_by) is cell


def _is_compared(variant: Variant, cell: Cell) -> bool:
    return variant.against is not None


def _is_published(variant: Variant, cell: Cell) -> bool:
    return cell.reproduction is not None


COLUMNS = (
    Column(
        "n",
        "Finished runs with a finite value of the metric, one per seed. A cell that rests on fewer runs says so.",
        _build_count,
        is_short=True,
    ),
    Column(
        "mean ± sd",
        "Mean and sample standard deviation (n − 1) over seeds.",
        _read_summary(lambda summary: Entry(format_mean(summary), summary.mean)),
        is_short=True,
    ),
    Column(
        "95 % interval",
        "Ordinary interval of the mean (Student’s t), from three values on, as far as it lies within the bounds of the"
        " metric. It is for one look at one number; claims are judged by wider intervals.",
        _read_summary(
            lambda summary: Entry(format_interval(summary.interval.low, summary.interval.high), summary.interval.low),
            needs_three=True,
        ),
        is_short=True,
    ),
    Column(
        "difference",
        "Variant minus baseline, seed by seed: with equal seeds, both see the same batches and start from the same"
        " weights in all layers that they share.",
        _read_comparison(lambda found, notes: Entry(format_signed(found.difference), found.difference), "baseline"),
        is_short=True,
        applies=_is_compared,
    ),
    Column(
        "its interval",
        "Ordinary 95 % interval of the difference (Student’s t), from three pairs on.",
        _read_comparison(_build_interval_of_difference),
        is_short=True,
        applies=_is_compared,
    ),
    Column(
        "better in",
        "Seeds in which the variant is better than its baseline.",
        _read_comparison(lambda found, notes: Entry(f"{found.wins} of {found.n}", found.wins / found.n)),
        is_short=True,
        applies=_is_compared,
    ),
    Column(
        "published",
        "A single run by the original author: reproduced if it lies in the 95 % prediction interval of one more run,"
        " which is in brackets, and differs if outside.",
        _build_published,
        is_short=True,
        applies=_is_published,
    ),
    Column(
        "success rate",
        "Share of finished and diverged runs that end at or beyond the threshold, with Wilson’s 95 % interval.",
        _build_success,
        applies=_is_judged,
    ),
    Column(
        "steps to threshold",
        "Median number of steps until runs first reach the threshold (Kaplan–Meier). A run that never does counts as"
        " not there yet at its last step.",
        _build_reach,
        applies=_is_judged,
    ),
    Column("median", "The middle one of the runs.", _single(lambda summary: summary.median)),
    Column(
        "IQM",
        "Interquartile mean: the mean of the middle half of the runs.",
        _single(lambda summary: summary.interquartile_mean),
    ),
    Column("best", "The best run, in the direction of the metric.", _single(lambda summary: summary.best)),
    Column("worst", "The worst run.", _single(lambda summary: summary.worst)),
    Column("area under curve", "Mean height of the metric’s curve over steps (trapezoids).", _build_area),
    Column(
        "effect size",
        "Mean difference in standard deviations of the differences (Cohen’s d_z).",
        _read_comparison(_build_effect),
        applies=_is_compared,
    ),
    Column(
        "P(improvement)",
        "Probability that a run of the variant is better than one of the baseline; ties count half (Agarwal et al.,"
        " 2021).",
        _read_comparison(lambda found, notes: Entry(format_number(found.improvement, 2), found.improvement)),
        applies=_is_compared,
    ),
)
