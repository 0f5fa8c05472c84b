"""Tables of an ablation: one tidy frame with full precision, and lines of text for printed tables."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from normlab.report.ablation import Ablation, Variant
from normlab.report.comparison import Comparison
from normlab.report.formatting import NOTHING, format_counts, format_interval, format_number, format_signed
from normlab.report.load import Run
from normlab.report.statistics import Summary
from normlab.report.variants import format_label

STATUSES = ("finished", "diverged", "failed", "interrupted", "running", "died")
CONDITIONS = ("precision", "device", "threads")
"""Keys of the environment that every table states."""
HEADINGS = ("variant", "n", "mean ± sd", "95 % interval", "difference", "its interval", "better in", "published")
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
class Line:
    """One variant in a printed table of one metric, as text in the order of `HEADINGS`."""

    cells: tuple[str, ...]
    is_best: bool


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


def format_lines(ablation: Ablation, metric: str, variants: Sequence[Variant]) -> list[Line]:
    """Return a line per variant for one metric."""
    best = ablation.rank(metric)[:1]
    return [Line(_format_cells(variant, metric), best == [variant]) for variant in variants]


def _format_cells(variant: Variant, metric: str) -> tuple[str, ...]:
    cell = variant.cells[metric]
    summary, comparison, reproduction = cell.summary, cell.comparison, cell.reproduction
    return (
        variant.name,
        str(summary.n if summary else 0),
        format_mean(summary),
        format_interval(summary.interval.low, summary.interval.high) if summary else NOTHING,
        *format_comparison(comparison),
        f"{format_number(reproduction.published)}, {reproduction.verdict}" if reproduction else NOTHING,
    )


def format_mean(summary: Summary | None) -> str:
    """Return `0.9407 ± 0.0398`; only the mean of a single run."""
    if summary is None:
        return NOTHING
    mean = format_number(summary.mean)
    return f"{mean} ± {format_number(summary.deviation)}" if summary.n > 1 else mean


def format_comparison(comparison: Comparison | None) -> tuple[str, str, str]:
    """Return the difference, its interval and in how many seeds the variant is better."""
    if comparison is None:
        return (NOTHING,) * 3
    interval = format_interval(comparison.interval.low, comparison.interval.high, signed=True)
    return format_signed(comparison.difference), interval, f"{comparison.wins} of {comparison.n}"


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
        place: format_mean(summary) + (f" (n = {summary.n})" if summary and differ else "")
        for place, summary in summaries.items()
    }
    rows, columns = (list(dict.fromkeys(place[axis] for place in cells)) for axis in (0, 1))
    frame = pd.DataFrame([[cells.get((row, column), NOTHING) for column in columns] for row in rows], rows, columns)
    return frame.rename_axis(index=first, columns=second)


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
            " variant is better. Bold: the best mean."
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
