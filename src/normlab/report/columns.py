"""The columns of a table of results, in the order of all tables: heading, meaning and cell."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
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
    keys: tuple[str, ...]
    """The numbers that it shows; the first is the sort key."""
    format: Callable[..., str]

    def build(self, numbers: Numbers) -> Entry:
        """Build the cell of a variant, a dash if there is no number."""
        if not self.is_in(numbers):
            return Entry(NOTHING)
        return Entry(self.format(*(numbers[key] for key in self.keys)), float(numbers[self.keys[0]]))

    def is_in(self, numbers: Numbers) -> bool:
        """Whether a variant has the number."""
        return bool(pd.notna(numbers.get(self.keys[0])))


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
    if cell.successes is not None and variant.results:
        low, high = estimate_rate(cell.successes, variant.results)
        numbers |= {"threshold": cell.threshold, "successes": cell.successes, "successes_of": variant.results}
        numbers |= {"success_rate": cell.successes / variant.results, "success_low": low, "success_high": high}
    if (reach := cell.reach) is not None:
        numbers |= {"updates_to_threshold_n": reach.n, "updates_to_threshold_reached": reach.reached}
        numbers["updates_to_threshold_median"] = reach.median
    return numbers


def format_mean(mean: float, deviation: float) -> str:
    """Return `0.9407 ± 0.0398`; only the mean of a single run, whose deviation is nan."""
    return format_number(mean) if pd.isna(deviation) else f"{format_number(mean)} ± {format_number(deviation)}"


def format_summary(summary: Summary | None) -> str:
    return NOTHING if summary is None else format_mean(summary.mean, summary.deviation)


def _format_share(share: float, low: float, high: float) -> str:
    return f"{100 * share:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


MEAN = "mean ± sd"
COMPARED = ("difference", "its interval", "better in")
"""Columns that a baseline has no part in."""
COLUMNS = (
    Column(
        "n",
        "n: finished runs that have the metric, one per seed.",
        ("n", "runs"),
        lambda n, runs: str(n) if n == runs else f"{n} of {runs}",
    ),
    Column(MEAN, "Mean ± sample standard deviation over seeds.", ("mean", "standard_deviation"), format_mean),
    Column(
        "95 % interval",
        "Ordinary 95 % interval of the mean (Student's t), from 3 runs on; for one look, so claims have wider ones.",
        ("low", "high"),
        format_interval,
    ),
    Column("difference", "Difference from the baseline, paired by seed.", ("difference",), format_signed),
    Column(
        "its interval",
        "Ordinary 95 % interval of the difference, from 3 pairs on.",
        ("difference_interval_low", "difference_interval_high"),
        partial(format_interval, signed=True),
    ),
    Column(
        "better in",
        "Better in: seeds in which the variant is better than the baseline.",
        ("difference_wins", "pairs"),
        "{} of {}".format,
    ),
    Column(
        "published",
        "Published figures are single runs by the original author: reproduced if within the 95 % prediction interval of"
        " one more run, not comparable with one run, or with runs that vary in more than the normalizer.",
        ("published", "verdict"),
        lambda published, verdict: f"{format_number(published)}, {verdict}",
    ),
    Column("threshold", "Threshold: value of report.threshold.", ("threshold",), format_number),
    Column(
        "success rate",
        "Success rate: finished and diverged runs that end at or beyond the threshold, with Wilson's 95 % interval.",
        ("success_rate", "success_low", "success_high"),
        _format_share,
    ),
    Column(
        "steps to threshold",
        "Steps to threshold: median (Kaplan–Meier), if at least half of the runs reach it.",
        ("updates_to_threshold_median",),
        format_count,
    ),
)
