"""Format numbers for display, with a sort key, and with a footnote if there is no number."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

NOTHING = "–"


@dataclass(frozen=True)
class Shown:
    """One cell of a table."""

    text: str
    value: str | None = None
    """Sort key; None sorts last. A column without any is sorted by its text."""
    small: str = ""
    """A second line."""
    mark: str = ""
    """Mark of a footnote."""
    strong: bool = False


@dataclass
class Notes:
    """Footnotes of a table: text → mark."""

    marks: dict[str, str] = field(default_factory=dict)

    def mark(self, reason: str) -> str:
        return self.marks.setdefault(reason, _number_by_letters(len(self.marks)))

    def nothing(self, reason: str, small: str = "") -> Shown:
        """Return a dash with a footnote that gives the reason."""
        return Shown(NOTHING, small=small, mark=self.mark(reason))


def format_number(value: float | None, places: int = 4) -> str:
    """Return `0.9412`; a dash for None and nan."""
    if value is None or math.isnan(value):
        return NOTHING
    if value and not math.isinf(value) and (abs(value) >= 1e6 or abs(value) < 0.5 * 10**-places):
        return f"{value:.2e}".replace("-", "−")
    return f"{value:.{places}f}".replace("-", "−")


def format_signed(value: float, places: int = 4) -> str:
    return f"+{format_number(value, places)}" if value > 0 else format_number(value, places)


def format_interval(low: float, high: float, of_difference: bool = False) -> str:
    write = format_signed if of_difference else format_number
    return f"[{write(low)}, {write(high)}]"


def format_p(p: float) -> str:
    """Return a p-value with two significant digits."""
    return "< 0.001" if p < 0.001 else f"{p:#.2g}"


def format_count(value: float) -> str:
    """Return a count with narrow no-break spaces between thousands."""
    return f"{value:,.0f}".replace(",", "\u202f")


def sort_key(value: float | None) -> str | None:
    return None if value is None or math.isnan(value) else f"{value:.9g}"


def format_ranges(numbers: Sequence[int]) -> str:
    """Return `0–4, 7` for 0, 1, 2, 3, 4, 7."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}–{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)


def format_counts(counts: Mapping[str, int], most: int = 6) -> str:
    """Return `cpu (12), H100 (3)`; the value without its count if there is only one."""
    if len(counts) == 1:
        return next(iter(counts))
    parts = [f"{value} ({count})" for value, count in list(counts.items())[:most]]
    return ", ".join(parts) + (f" and {len(counts) - most} more" if len(counts) > most else "")


def _number_by_letters(place: int) -> str:
    """Return a, b, …, z, aa, ab and so on."""
    before, letter = divmod(place, 26)
    return (_number_by_letters(before - 1) if before else "") + chr(ord("a") + letter)
