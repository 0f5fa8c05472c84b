"""Style, line styles, axes, legends, number formats and saving, shared by all figures."""

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from itertools import cycle
from pathlib import Path
from textwrap import wrap
from typing import Literal

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
"""Width of a figure with one panel in inches: 80 mm, one column of a paper."""
DOUBLE = 6.5
"""Width of a figure with several panels in inches: 165 mm."""
FONT_SIZE = 7.5
"""As in `report.mplstyle`, in points."""

GREY = "#555555"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999933")
"""Colour-blind safe palette of Okabe and Ito, with olive instead of yellow, which is hard to see on white."""
GREYS = ("#000000", "#777777", "#444444", "#999999")
"""Colours of baselines; the first is black."""
Dashes = Literal["-"] | tuple[float, tuple[float, ...]]
_PATTERNS = ((5, 1.5), (1, 1), (5, 1.5, 1, 1.5), (2.5, 1), (5, 1, 1, 1, 1, 1), (9, 2), (1, 2.5))
DASHES: tuple[Dashes, ...] = ("-", *((0, pattern) for pattern in _PATTERNS))
MARKERS = "osD^vPX*"
MAX_LEGEND_COLUMNS = 5

STYLE = resources.files("normlab.report.figures") / "report.mplstyle"


@dataclass(frozen=True)
class Figure:
    """Texts of a figure on a page; its image is `<name>.png` and `<name>.svg`."""

    name: str
    title: str
    caption: str
    """Content of the figure, number of runs and kind of intervals."""
    alternative: str
    """The numbers as text, for readers who cannot see the image."""


@dataclass(frozen=True)
class LineStyle:
    """Colour, dashes and marker of a line, each sufficient to identify it."""

    colour: str
    dashes: Dashes
    marker: str


Drawing = tuple[Canvas, Figure]


def assign_styles(are_baselines: Sequence[bool]) -> list[LineStyle]:
    """Return a style for each line: black or grey for baselines, coloured for all others."""
    greys, colours = cycle(GREYS), cycle(COLOURS)
    return [
        LineStyle(next(greys if is_baseline else colours), dashes, marker)
        for is_baseline, dashes, marker in zip(are_baselines, cycle(DASHES), cycle(MARKERS), strict=False)
    ]


@contextmanager
def use_style() -> Iterator[None]:
    """Apply the report's style within the context, regardless of the user's matplotlibrc."""
    with matplotlib.rc_context(), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # drawn as a box
        matplotlib.rcdefaults()
        matplotlib.rc_file(str(STYLE))
        yield


def create_canvas(width: float, height: float) -> Canvas:
    """Create an empty figure with a size in inches."""
    figure = Canvas(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Canvas, directory: Path, name: str) -> None:
    """Write `<name>.png` and `<name>.svg`. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    figure.savefig(directory / f"{name}.png", dpi=200)
    figure.set_layout_engine("none")  # reuse the layout of the PNG, which halves the time
    figure.savefig(directory / f"{name}.svg", dpi=200, metadata={"Date": None})


def wrap_name(text: str, width: float, max_lines: int = 3) -> str:
    """Wrap a name to lines of a width in inches, and cut out its middle if it is still too long."""
    text = "".join(character if character.isprintable() else "�" for character in text)
    inches = text_to_path.get_text_width_height_descent(text, FontProperties(size=FONT_SIZE), ismath=False)[0] / 72
    characters = max(4, int(width * len(text) / max(inches, 0.01)))
    if len(text) > characters * max_lines:
        half = characters * max_lines // 2
        text = f"{text[: half - 1]}…{text[2 - half :]}"
    return "\n".join(wrap(text, characters, break_on_hyphens=False)[:max_lines]) or text


def format_number(value: float) -> str:
    """Format a number for captions, with four significant digits."""
    return f"{value:.4g}"


def describe_numbers(title: str, numbers: Mapping[str, Iterable[float]]) -> str:
    """Compose an alternative text: `title: label 0.1, 0.2; …`, with `no result` for labels without finite numbers."""
    texts = []
    for label, values in numbers.items():
        known = map(format_number, filter(math.isfinite, values))
        texts.append(f"{label} {', '.join(known) or 'no result'}")
    return f"{title}: {'; '.join(texts)}."


def describe_intervals(intervals: Iterable[Interval]) -> str:
    """Return what a caption says of intervals if there are any."""
    return " with its 95 % interval (Student's t)" if any(math.isfinite(each.low) for each in intervals) else ""


def describe_counts(counts: Sequence[int]) -> str:
    """Return `n = 5` or `n = 3 to 5`."""
    low, high = min(counts), max(counts)
    return f"n = {low}" if low == high else f"n = {low} to {high}"


def add_legend(figure: Canvas, handles: Sequence[Artist], names: Sequence[str], title: str = "") -> None:
    """Add a legend above the panels, with as many columns as fit, and increase the figure's height accordingly."""
    width, height = figure.get_size_inches()
    labels = [wrap_name(name, width - 0.5) for name in names]
    for columns in range(min(len(labels), MAX_LEGEND_COLUMNS), 0, -1):
        legend = figure.legend(handles, ["·"] * len(labels), loc="outside upper center", ncols=columns)
        for text, label in zip(legend.get_texts(), labels, strict=True):
            text.set_text(label)  # only now, as matplotlib hides labels that start with an underscore
        if title:
            legend.set_title(wrap_name(title, width - 0.2))
        extent = legend.get_window_extent().transformed(figure.dpi_scale_trans.inverted())
        if extent.width < width - 0.12 or columns == 1:
            break
        legend.remove()
    figure.set_size_inches(width, height + extent.height)


def create_handle(style: LineStyle, marker: str = "") -> Line2D:
    return Line2D([], [], color=style.colour, linestyle=style.dashes, marker=marker, markersize=3.2)


def set_count_ticks(axis: Axis, ticks: int = 5) -> None:
    """Label a few whole numbers, such as steps."""
    axis.set_major_locator(MaxNLocator(ticks, integer=True, min_n_ticks=2, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _format_count(value)))


def set_value_ticks(axis: Axis, ticks: int = 6) -> None:
    """Label a few numbers, without the offset that matplotlib subtracts from numbers close to each other."""
    axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    formatter = ScalarFormatter(useOffset=False)
    formatter.set_powerlimits((-3, 5))
    axis.set_major_formatter(formatter)


def set_log_ticks(axis: Axis, low: float, high: float) -> None:
    """Label a logarithmic axis from low to high without math text."""
    decades = math.log10(high / low)
    if decades < 0.7:
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    elif decades < 2.5:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 1.7 else (1, 3)))
    else:
        axis.set_major_locator(LogLocator(numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _format_power(value)))
    axis.set_minor_formatter(NullFormatter())


def _format_count(value: float) -> str:
    if not math.isclose(value, round(value), abs_tol=1e-6):
        return ""  # matplotlib marks fractions around a single step
    return f"{value:,.0f}" if abs(value) < 1e6 else f"{value / 1e6:,.6g} M"


def _format_power(value: float) -> str:
    """Return `0.01` or, far from 1, `10⁻⁵`."""
    if value <= 0 or 1e-3 <= value < 1e5:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{power}" if mantissa == "1.0" else f"{float(mantissa):g}·10{power}"
