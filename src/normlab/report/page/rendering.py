"""The page of a report: one HTML file with everything in it, which opens from disk and asks nothing of a network."""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from normlab.report.ablation import Ablation
from normlab.report.conditions import conditions_in_words
from normlab.report.figures.drawing import Figure
from normlab.report.page.results_tables import results_tables
from normlab.report.page.run_details import details, rows
from normlab.report.page.setup_in_words import describe, flat_settings

COLUMN = 300
"""Width of an image in points from which it takes more than one column of the page."""


@dataclass(frozen=True)
class Picture:
    """A figure with its image inside."""

    figure: Figure
    image: str
    width: float
    """In points, as drawn; 0 where the image does not say."""
    height: float

    @property
    def is_broad(self) -> bool:
        return self.width > COLUMN


def write_page(ablation: Ablation, figures: Sequence[Figure], directory: Path, place: Path) -> None:
    """Write `index.html` into the directory of a report.

    Args:
        ablation: what the page tells.
        figures: whose files lie in `directory/figures`.
        directory: to write to.
        place: the directory of the report once it is complete, in which relative links start.
    """
    settings = flat_settings(ablation.results.details)
    style, script = _part("page.css"), _part("page.js")
    text = (
        _environment()
        .get_template("page.html.jinja")
        .render(
            ablation=ablation,
            setup=describe(ablation, settings),
            tables=results_tables(ablation),
            rows=rows(ablation),
            conditions=conditions_in_words(ablation.results.details),
            details=details(ablation, settings, place),
            pictures=[_picture(figure, directory / "figures" / f"{figure.name}.svg") for figure in figures],
            places=[str(place) for place in ablation.results.directories],
            version=version("normlab"),
            style=Markup(style),  # our own; escaping would change what the browser reads, and its hash
            script=Markup(script),
            style_hash=_hash(style),
            script_hash=_hash(script),
        )
    )
    # Paths and logs may hold what UTF-8 cannot encode.
    (directory / "index.html").write_bytes(text.encode("utf-8", errors="replace"))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("normlab.report.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment


def _part(name: str) -> str:
    return (resources.files("normlab.report.page") / "templates" / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """Return what a Content-Security-Policy allows an inline style or script by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _picture(figure: Figure, file: Path) -> Picture:
    image = file.read_bytes()
    size = re.search(rb'<svg[^>]*? width="([\d.]+)pt" height="([\d.]+)pt"', image[:4096])
    width, height = map(float, size.groups()) if size else (0.0, 0.0)
    return Picture(figure, f"data:image/svg+xml;base64,{base64.b64encode(image).decode()}", width, height)
