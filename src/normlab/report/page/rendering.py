"""Page of a report: one self-contained HTML file that needs no network."""

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
from normlab.report.conditions import describe_conditions
from normlab.report.figures.drawing import Figure
from normlab.report.page.results_tables import make_results_tables
from normlab.report.page.run_details import collect_details, make_run_rows
from normlab.report.page.setup import describe, flatten_settings

COLUMN = 300
"""Width in points above which an image spans two columns of the page."""


@dataclass(frozen=True)
class Picture:
    """A figure with its embedded image."""

    figure: Figure
    image: str
    width: float
    """In points; 0 if the SVG has no size."""
    height: float

    @property
    def is_broad(self) -> bool:
        return self.width > COLUMN


def write_page(ablation: Ablation, figures: Sequence[Figure], directory: Path, place: Path) -> None:
    """Write `index.html` into the directory of a report.

    Args:
        ablation: results to show.
        figures: figures whose files are in `directory/figures`.
        directory: directory to write to.
        place: final directory of the report, the base of relative links.
    """
    settings = flatten_settings(ablation.results.details)
    style, script = _read("page.css"), _read("page.js")
    text = (
        _make_environment()
        .get_template("page.html.jinja")
        .render(
            ablation=ablation,
            setup=describe(ablation, settings),
            tables=make_results_tables(ablation),
            rows=make_run_rows(ablation),
            conditions=describe_conditions(ablation.results.details),
            details=collect_details(ablation, settings, place),
            pictures=[_embed(figure, directory / "figures" / f"{figure.name}.svg") for figure in figures],
            places=[str(place) for place in ablation.results.directories],
            version=version("normlab"),
            style=Markup(style),  # escaping would change the hash
            script=Markup(script),
            style_hash=_hash(style),
            script_hash=_hash(script),
        )
    )
    # Paths and logs may have characters that UTF-8 cannot encode.
    (directory / "index.html").write_bytes(text.encode("utf-8", errors="replace"))


def _make_environment() -> Environment:
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


def _read(name: str) -> str:
    return (resources.files("normlab.report.page") / "templates" / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """Return the hash by which a Content-Security-Policy allows an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _embed(figure: Figure, file: Path) -> Picture:
    image = file.read_bytes()
    size = re.search(rb'<svg[^>]*? width="([\d.]+)pt" height="([\d.]+)pt"', image[:4096])
    width, height = map(float, size.groups()) if size else (0.0, 0.0)
    return Picture(figure, f"data:image/svg+xml;base64,{base64.b64encode(image).decode()}", width, height)
