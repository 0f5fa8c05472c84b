"""Format numbers, intervals and counts for display."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

NOTHING = "–"


@dataclass(frozen=True)
class Entry:
    """One cell of a table on the page."""

    text: str
    value: float | None = None
    """Sort key; None and nan sort last. A column without sort keys is sorted by its text."""

    def __str__(self) -> str:
        return self.text

    @property
    def sort_key(self) -> str | None:
        return None if self.value is None or math.isnan(self.value) else f"{self.value:.12g}"


def format_number(value: float | None, places: int = 4) -> str:
    """Return an accuracy or a loss as `0.9412`; a dash for None and nan."""
    if value is None or math.isnan(value):
        return NOTHING
    if value and not math.isinf(value) and (abs(value) >= 1e6 or abs(value) < 0.5 * 10**-places):
        return f"{value:.2e}".replace("-", "−")
    return f"{value:.{places}f}".replace("-", "−")


def format_signed(value: float, places: int = 4) -> str:
    return f"+{format_number(value, places)}" if value > 0 else format_number(value, places)


def format_interval(low: float, high: float, signed: bool = False) -> str:
    if math.isnan(low):
        return NOTHING
    return "[{}, {}]".format(*map(format_signed if signed else format_number, (low, high)))


def format_count(value: float) -> str:
    """Return a count with thin, non-breaking spaces between thousands."""
    return f"{value:,.0f}".replace(",", "\u202f")


def format_ranges(numbers: Iterable[int]) -> str:
    """Return `0–4, 7` for 0, 1, 2, 3, 4, 7."""
    runs = groupby(enumerate(sorted(set(numbers))), key=lambda pair: pair[1] - pair[0])
    parts = [[number for _, number in run] for _, run in runs]
    return ", ".join(f"{part[0]}–{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)


def format_counts(counts: Mapping[str, int], limit: int = 6) -> str:
    """Return `cpu (12), H100 (3)`, or only the value if there is one."""
    if len(counts) == 1:
        return next(iter(counts))
    parts = [f"{value} ({count})" for value, count in list(counts.items())[:limit]]
    return ", ".join(parts) + (f" and {len(counts) - limit} more" if len(counts) > limit else "")


def format_statuses(counts: Mapping[str, int]) -> str:
    """Return `3 finished, 1 failed`."""
    return ", ".join(f"{count} {status}" for status, count in counts.items())
