"""The columns of a table of results, in the order of all tables: heading, meaning and cell."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from normlab.report.ablation import Variant
from normlab.report.formatting import NOTHING, Entry, format_count, format_interval, format_number, format_signed
from normlab.report.statistics import Summary, estimate_rate

Numbers = Mapping[str, Any]
"""Column of `table.csv` → number of one variant and metric; those that its runs do not give are absent or nan."""


@dataclass(frozen=True)
class Column:
    """A column of a printed table."""

    heading: str
    meaning: str
    """A sentence of the caption."""
    key: str
    """The number by which it is sorted."""
    format: Callable[[Numbers], str]

    def build(self, numbers: Numbers) -> Entry:
        """Build the cell of a variant, a dash if there is no number."""
        if not self.is_in(numbers):
            return Entry(NOTHING)
        return Entry(self.format(numbers), float(numbers[self.key]))

    def is_in(self, numbers: Numbers) -> bool:
        """Whether a variant has the number."""
        return bool(pd.notna(numbers.get(self.key)))


def collect_numbers(variant: Variant, metric: str) -> dict[str, Any]:
    """Return all numbers of one metric of a variant, by their columns in `table.csv`."""
    cell = variant.cells[metric]
    numbers: dict[str, Any] = {"n": 0, "mean": None, "low": None, "high": None}
    if (summary := cell.summary) is not None:
        numbers |= {"n": summary.n, "mean": summary.mean, "low": summary.interval.low, "high": summary.interval.high}
        numbers["standard_deviation"] = summary.deviation
    numbers |= {"runs": len(variant.runs), "baseline": variant.against}
    if (found := cell.comparison) is not None:
        numbers |= {"pairs": found.n, "difference": found.difference}
        numbers |= {f"difference_interval_{end}": value for end, value in found.interval._asdict().items()}
        numbers["difference_wins"] = found.wins
    if (figure := cell.reproduction) is not None:
        numbers |= {"published": figure.published, "verdict": figure.verdict}
        numbers |= {"prediction_low": figure.low, "prediction_high": figure.high}
    if variant.judged_by == metric and variant.successes is not None and variant.results:
        low, high = estimate_rate(variant.successes, variant.results)
        numbers |= {"threshold": variant.threshold, "successes": variant.successes, "successes_of": variant.results}
        numbers |= {"success_rate": variant.successes / variant.results, "success_low": low, "success_high": high}
    if variant.judged_by == metric and (reach := variant.reach) is not None:
        numbers |= {"updates_to_threshold_n": reach.n, "updates_to_threshold_reached": reach.reached}
        numbers["updates_to_threshold_median"] = reach.median
    return numbers


def format_mean(mean: float, deviation: float) -> str:
    """Return `0.9407 ± 0.0398`; only the mean of a single run, whose deviation is nan."""
    return format_number(mean) if pd.isna(deviation) else f"{format_number(mean)} ± {format_number(deviation)}"


def format_summary(summary: Summary | None) -> str:
    return NOTHING if summary is None else format_mean(summary.mean, summary.deviation)


def _format_share(row: Numbers) -> str:
    share, low, high = (f"{100 * row[key]:.0f}" for key in ("success_rate", "success_low", "success_high"))
    return f"{share} % [{low}, {high}]"


MEAN = "mean ± sd"
COLUMNS = (
    Column(
        "n",
        "n: finished runs that have the metric, one per seed.",
        "n",
        lambda row: str(row["n"]) if row["n"] == row["runs"] else f"{row['n']} of {row['runs']}",
    ),
    Column(
        MEAN,
        "Mean ± sample standard deviation over seeds.",
        "mean",
        lambda row: format_mean(row["mean"], row["standard_deviation"]),
    ),
    Column(
        "95 % interval",
        "Ordinary 95 % interval of the mean (Student's t), from 3 runs on; for one look, so claims have wider ones.",
        "low",
        lambda row: format_interval(row["low"], row["high"]),
    ),
    Column(
        "difference",
        "Difference from the baseline, paired by seed.",
        "difference",
        lambda row: format_signed(row["difference"]),
    ),
    Column(
        "its interval",
        "Ordinary 95 % interval of the difference, from 3 pairs on.",
        "difference_interval_low",
        lambda row: format_interval(row["difference_interval_low"], row["difference_interval_high"], signed=True),
    ),
    Column(
        "better in",
        "Better in: seeds in which the variant is better than the baseline.",
        "difference_wins",
        lambda row: f"{row['difference_wins']} of {row['pairs']}",
    ),
    Column(
        "published",
        "Published figures are single runs by the original author: reproduced if within the 95 % prediction interval of"
        " one more run, not comparable with one run, or with runs that vary in more than the normalizer.",
        "published",
        lambda row: f"{format_number(row['published'])}, {row['verdict']}",
    ),
    Column(
        "success rate",
        "Success rate: finished and diverged runs that end at or beyond the threshold, with Wilson's 95 % interval.",
        "success_rate",
        _format_share,
    ),
    Column(
        "steps to threshold",
        "Steps to threshold: median (Kaplan–Meier), if at least half of the runs reach it.",
        "updates_to_threshold_median",
        lambda row: format_count(row["updates_to_threshold_median"]),
    ),
)
COMPARED = ("difference", "its interval", "better in")
"""Columns that a baseline has no part in."""
