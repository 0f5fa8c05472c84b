"""What a reader sees in place of a number: a text, a value to sort by, and a reason where there is nothing to see."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

NOTHING = "–"


@dataclass(frozen=True)
class Shown:
    """One cell of a table."""

    text: str
    value: str | None = None
    """What the column is sorted by; None sorts last, and by the text where a whole column has none."""
    small: str = ""
    """A second line."""
    mark: str = ""
    """Of the note under the table that gives a reason."""
    strong: bool = False


@dataclass
class Notes:
    """Reasons under a table, each once, with the mark that leads there."""

    marks: dict[str, str] = field(default_factory=dict)

    def mark(self, reason: str) -> str:
        return self.marks.setdefault(reason, _letters(len(self.marks)))

    def nothing(self, reason: str, small: str = "") -> Shown:
        """Return a dash, with the reason for it."""
        return Shown(NOTHING, small=small, mark=self.mark(reason))


def decimal(value: float | None, places: int = 4) -> str:
    """Return an accuracy, a loss or their like: `0.9412`; a dash where there is no such number."""
    if value is None or math.isnan(value):
        return NOTHING
    if value and not math.isinf(value) and (abs(value) >= 1e6 or abs(value) < 0.5 * 10**-places):
        return f"{value:.2e}".replace("-", "−")
    return f"{value:.{places}f}".replace("-", "−")


def signed(value: float, places: int = 4) -> str:
    return f"+{decimal(value, places)}" if value > 0 else decimal(value, places)


def interval(low: float, high: float, of_difference: bool = False) -> str:
    write = signed if of_difference else decimal
    return f"[{write(low)}, {write(high)}]"


def probability(p: float) -> str:
    """Return a p-value with two significant digits."""
    return "< 0.001" if p < 0.001 else f"{p:#.2g}"


def whole(value: float) -> str:
    """Return a count, its thousands set apart by a thin space that does not break."""
    return f"{value:,.0f}".replace(",", "\u202f")


def sortable(value: float | None) -> str | None:
    return None if value is None or math.isnan(value) else f"{value:.9g}"


def ranges(numbers: Sequence[int]) -> str:
    """Return `0–4, 7` for 0, 1, 2, 3, 4, 7."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}–{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)


def counted(counts: Mapping[str, int], most: int = 6) -> str:
    """Return `cpu (12), H100 (3)`, the value alone where there is one."""
    if len(counts) == 1:
        return next(iter(counts))
    told = [f"{value} ({count})" for value, count in list(counts.items())[:most]]
    return ", ".join(told) + (f" and {len(counts) - most} more" if len(counts) > most else "")


def _letters(place: int) -> str:
    """Return a, b, …, z, aa, ab and so on."""
    before, letter = divmod(place, 26)
    return (_letters(before - 1) if before else "") + chr(ord("a") + letter)
