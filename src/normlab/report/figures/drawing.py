"""Style, canvas, scales and legends of all figures, and the texts about them."""

import math
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from itertools import cycle
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from normlab.report.statistics import MIN_INTERVAL_SIZE, Values

SINGLE = 3.15
"""Width of a figure with one panel in inches: 80 mm, one column of a paper."""
DOUBLE = 6.5
"""Width of a figure with several panels in inches: 165 mm."""
RESOLUTION = 200
"""Dots per inch of images."""
CHARACTER = 0.06
"""Mean width of a character of a label in inches."""
LOG_RATIO = 9.999
"""Ratio of the largest to the smallest value from which an axis is logarithmic: ten, but for rounding."""

GREY = "#555555"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999933")
"""Colour-blind safe palette of Okabe and Ito, with olive instead of yellow, which is hard to see on white."""
GREYS = ("#000000", "#777777", "#444444", "#999999")
"""Colours of baselines; the first is black."""
Dashes = Literal["-"] | tuple[float, tuple[float, ...]]
_PATTERNS = ((5, 1.5), (1, 1), (5, 1.5, 1, 1.5), (2.5, 1), (5, 1, 1, 1, 1, 1), (9, 2), (1, 2.5))
DASHES: tuple[Dashes, ...] = ("-", *((0, pattern) for pattern in _PATTERNS))
MARKERS = "osD^vPX*"


@dataclass(frozen=True)
class Figure:
    """Texts of a figure on a page; its image is `<name>.png` and `<name>.svg`."""

    name: str
    title: str
    caption: str
    alternative: str
    """The numbers as text, for readers who cannot see the image."""


@dataclass(frozen=True)
class Drawing:
    """A figure before it is saved."""

    canvas: Canvas
    name: str
    title: str
    caption: str
    numbers: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Label → value drawn for it, and its range, such as the ends of an interval."""

    def describe(self) -> str:
        """Compose the alternative text: `title: label 0.2 [0.1, 0.3]; …`."""
        texts = []
        for label, values in self.numbers.items():
            value, *ends = [f"{value:.4g}" for value in values if math.isfinite(value)] or ["no result"]
            texts.append(f"{label} {value} [{', '.join(ends)}]" if ends else f"{label} {value}")
        return f"{self.title}: {'; '.join(texts)}." if texts else f"{self.title}."


@dataclass(frozen=True)
class LineStyle:
    """Colour, dashes and marker of a line, each sufficient to identify it."""

    colour: str
    dashes: Dashes
    marker: str


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
        matplotlib.rc_file(str(resources.files("normlab.report.figures") / "report.mplstyle"))
        yield


def create_canvas(width: float, height: float) -> Canvas:
    """Create an empty figure with a size in inches."""
    return Canvas(figsize=(width, height), dpi=RESOLUTION, layout="constrained")


def save(canvas: Canvas, directory: Path, name: str) -> None:
    """Write `<name>.png` and `<name>.svg`. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    for axes in canvas.axes:
        axes.spines[:].set_in_layout(False)  # ticks are measured with their labels already
    # `savefig` would draw twice for each file, once for the layout alone.
    FigureCanvasAgg(canvas).print_png(directory / f"{name}.png")  # type: ignore[no-untyped-call]
    canvas.set_layout_engine("none")
    metadata = {"Date": None}
    FigureCanvasSVG(canvas).print_svg(directory / f"{name}.svg", metadata=metadata)  # type: ignore[no-untyped-call]


def wrap_name(text: str, width: float, max_lines: int = 3) -> str:
    """Wrap a name to lines of about a width in inches, and cut it if it is still too long."""
    return "\n".join(
        wrap(text, max(4, int(width / CHARACTER)), max_lines=max_lines, placeholder="…", break_on_hyphens=False)
    )


def describe_means(counts: Collection[int], has_interval: bool = True) -> str:
    """Return the sentence of captions on means over so many runs, with intervals of three or more."""
    low, high = min(counts), max(counts)
    if high == 1:
        return "One run of each variant (n = 1)."
    interval = " with its 95 % interval (Student's t)" if has_interval and high >= MIN_INTERVAL_SIZE else ""
    return f"Mean of n = {low if low == high else f'{low} to {high}'} runs{interval}."


def add_legend(canvas: Canvas, handles: Mapping[str, Line2D], title: str = "") -> None:
    """Add a legend of names above the panels, with as many columns as fit, and increase the canvas's height."""
    width, height = canvas.get_size_inches()
    names = [wrap_name(name, width - 0.5) for name in handles]
    for columns in range(min(len(names), 5), 0, -1):
        legend = canvas.legend(list(handles.values()), names, loc="outside upper center", ncols=columns)
        if title:
            legend.set_title(wrap_name(title, width - 0.2))
        extent = legend.get_window_extent().transformed(canvas.dpi_scale_trans.inverted())
        if extent.width < width - 0.08 or columns == 1:
            break
        legend.remove()
    canvas.set_size_inches(width, height + extent.height)


def create_handle(style: LineStyle, marker: str = "") -> Line2D:
    return Line2D([], [], color=style.colour, ls=style.dashes, marker=marker, ms=3.2)


def create_marker(marker: str, **style: Any) -> Line2D:
    return Line2D([], [], **{"color": GREY, "ls": "", "marker": marker, "ms": 3.5, "mfc": "white", **style})


def set_step_ticks(axes: Axes, ticks: int = 5) -> None:
    """Label the horizontal axis with whole numbers."""
    axes.margins(x=0.02)
    axes.xaxis.set_major_locator(MaxNLocator(ticks, integer=True, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def choose_scale(axes: Axes, axis: Literal["x", "y"], values: Values) -> None:
    """Make an axis logarithmic, with labels without math text, if values are positive and differ tenfold or more."""
    low, high = np.nanmin(values), np.nanmax(values)
    if 0 < low * LOG_RATIO <= high:
        axes.set(**{f"{axis}scale": "log"})
        ticks = axes.xaxis if axis == "x" else axes.yaxis
        ticks.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,), numticks=7))
        ticks.set_major_formatter(StrMethodFormatter("{x:g}"))
        ticks.set_minor_formatter(NullFormatter())
