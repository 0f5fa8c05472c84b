"""What all figures share: their look at the width of a column, the looks of variants, axes, legends, and saving."""

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from normlab.report.statistics import Interval

SINGLE = 3.15
"""Width of a figure of one panel in inches: 80 mm, one column of a paper."""
DOUBLE = 6.5
"""Width of a figure of several panels in inches: 165 mm."""
FONT_SIZE = 7.5
LARGEST = 1e150
"""Beyond it, values are left out like infinite ones: their squares and the limits of axes are no longer numbers."""
SMALLEST = 1 / LARGEST
"""What a logarithmic axis starts from, for the same reason."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999933")
"""Okabe and Ito's, which the colour-blind tell apart; olive in place of their yellow, which is lost on white."""
GREYS = ("#000000", "#777777", "#444444", "#999999")
"""Of baselines: the first is black."""
Dashes = Literal["-"] | tuple[float, tuple[float, ...]]
LINES: tuple[Dashes, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1, 1)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (2.5, 1)),
    (0, (5, 1, 1, 1, 1, 1)),
    (0, (9, 2)),
    (0, (1, 2.5)),
)
MARKERS = "osD^vPX*"
MOST_COLUMNS = 5
"""Of a legend."""

STYLE: Mapping[Any, Any] = {  # matplotlib's own type of the keys is a list of them all
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE,
    "axes.labelsize": FONT_SIZE,
    "figure.labelsize": FONT_SIZE,
    "xtick.labelsize": FONT_SIZE - 0.5,
    "ytick.labelsize": FONT_SIZE - 0.5,
    "legend.fontsize": FONT_SIZE,
    "legend.title_fontsize": FONT_SIZE,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "legend.columnspacing": 1.4,
    "legend.borderpad": 0.1,
    "legend.labelspacing": 0.35,
    "lines.linewidth": 1.2,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "hatch.linewidth": 0.5,
    "text.parse_math": False,  # a `$` in the name of a variant is nothing but a dollar
    "svg.fonttype": "none",  # text that can be found, copied and read aloud
    "svg.hashsalt": "normlab",  # equal data give equal bytes
}


@dataclass(frozen=True)
class Figure:
    """What a page says of a figure; its image is `<name>.png` and `<name>.svg`."""

    name: str
    title: str
    caption: str
    """What is shown, over how many runs, and what the intervals are."""
    alternative: str
    """The numbers in words, for those who do not see the figure."""


@dataclass(frozen=True)
class Look:
    """How a line is told from others, each of the three enough by itself."""

    colour: str
    line: Dashes
    marker: str


Drawn = tuple[Canvas, Figure]


def looks(are_baselines: Sequence[bool]) -> list[Look]:
    """Return a look for each line in turn: baselines are black or grey, all others coloured."""
    colours, greys, found = 0, 0, []
    for place, is_baseline in enumerate(are_baselines):
        colour = GREYS[greys % len(GREYS)] if is_baseline else COLOURS[colours % len(COLOURS)]
        greys, colours = greys + is_baseline, colours + (not is_baseline)
        found.append(Look(colour, LINES[place % len(LINES)], MARKERS[place % len(MARKERS)]))
    return found


@contextmanager
def style() -> Iterator[None]:
    """Draw in the report's style for a while, whatever the user's own matplotlibrc says."""
    with matplotlib.rc_context(), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a box stands for it
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def canvas(width: float, height: float) -> Canvas:
    """Return an empty figure of a size in inches."""
    figure = Canvas(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Canvas, directory: Path, name: str) -> None:
    """Write `<name>.png` and `<name>.svg`. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    figure.savefig(directory / f"{name}.png", dpi=200)
    figure.set_layout_engine("none")  # as found for the first: the second takes half the time
    figure.savefig(directory / f"{name}.svg", dpi=200, metadata={"Date": None})


def lines_of(text: str, room: float, most: int = 3) -> str:
    """Return a name as a figure can hold it: on lines of so many inches, and without its middle if too long."""
    text = "".join(character if character.isprintable() else "�" for character in text)
    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=FONT_SIZE), ismath=False)
    characters = max(4, int(room * 72 * len(text) / max(width, 1.0)))
    if len(text) > characters * most:
        half = characters * most // 2
        text = f"{text[: half - 1]}…{text[2 - half :]}"
    return "\n".join(wrap(text, characters, break_on_hyphens=False)[:most]) or text


def told(value: float) -> str:
    """Return a number as captions have it, to four significant digits."""
    return f"{value:.4g}"


def method_of(intervals: Iterable[Interval]) -> str:
    """Return how intervals were found, `Student's t, BCa bootstrap`; empty where there are none."""
    methods = {interval.method for interval in intervals if math.isfinite(interval.low)}
    return ", ".join("Student's t" if method == "t" else method for method in sorted(methods, key=str.lower))


def spread(numbers: Sequence[int]) -> str:
    """Return `n = 5`, or `n = 3 to 5`."""
    low, high = min(numbers), max(numbers)
    return f"n = {low}" if low == high else f"n = {low} to {high}"


def legend(figure: Canvas, handles: Sequence[Artist], names: Sequence[str], title: str = "") -> None:
    """Put a legend above the panels, in as many columns as fit, and make the figure higher by its height."""
    width, height = figure.get_size_inches()
    labels = [lines_of(name, width - 0.5) for name in names]
    for columns in range(min(len(labels), MOST_COLUMNS), 0, -1):
        # Names are put in afterwards: matplotlib hides labels that start with an underscore.
        shown = figure.legend(handles, ["·"] * len(labels), loc="outside upper center", ncols=columns)
        for text, label in zip(shown.get_texts(), labels, strict=True):
            text.set_text(label)
        if title:
            shown.set_title(lines_of(title, width - 0.2))
        extent = shown.get_window_extent().transformed(figure.dpi_scale_trans.inverted())
        if extent.width < width - 0.12 or columns == 1:
            break
        shown.remove()
    figure.set_size_inches(width, height + extent.height)


def line_handle(look: Look, marker: str = "") -> Line2D:
    return Line2D([], [], color=look.colour, linestyle=look.line, marker=marker, markersize=3.2)


def count_axis(axis: Axis, ticks: int = 5) -> None:
    """Mark a few whole numbers, such as updates."""
    axis.set_major_locator(MaxNLocator(ticks, integer=True, min_n_ticks=2, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _count(value)))


def value_axis(axis: Axis, ticks: int = 6) -> None:
    """Mark a few numbers, without the offset that matplotlib takes from numbers close to each other."""
    axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    formatter = ScalarFormatter(useOffset=False)
    formatter.set_powerlimits((-3, 5))
    axis.set_major_formatter(formatter)


def logarithmic_axis(axis: Axis, low: float, high: float) -> None:
    """Mark a logarithmic axis that spans low to high, with labels in plain characters."""
    decades = math.log10(high / low)
    if decades < 0.7:
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    elif decades < 2.5:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 1.7 else (1, 3)))
    else:
        axis.set_major_locator(LogLocator(numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _plain(value)))
    axis.set_minor_formatter(NullFormatter())


def _count(value: float) -> str:
    if not math.isclose(value, round(value), abs_tol=1e-6):
        return ""  # between two whole numbers, where there is but one update
    text = f"{value:,.0f}" if abs(value) < 1e6 else f"{value / 1e6:,.6g} M"
    return text.replace("-", "−")


def _plain(value: float) -> str:
    """Return `0.01` or, far from 1, `10⁻⁵`."""
    if value <= 0 or 1e-3 <= value < 1e5:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{power}" if mantissa == "1.0" else f"{float(mantissa):g}·10{power}"
