"""Render the page of a report: one self-contained HTML file that works offline."""

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from normlab.report import claims_table
from normlab.report.ablation import Ablation
from normlab.report.claims_table import describe_origin, explain_claims, format_claim
from normlab.report.columns import COLUMNS
from normlab.report.figures.drawing import Figure
from normlab.report.page.run_details import build_row
from normlab.report.page.setup import describe_setup
from normlab.report.tables import build_table, describe_conditions, format_effects, write_caption


def write_page(ablation: Ablation, figures: Sequence[Figure], directory: Path, place: Path) -> None:
    """Write `index.html` into the directory of a report.

    Args:
        ablation: content of the page.
        figures: their files are in `directory/figures`.
        directory: to write to.
        place: final directory of the report; links are relative to it.
    """
    results = ablation.results
    style, script = read_template("page.css"), read_template("page.js")
    text = (
        create_environment()
        .get_template("page.html.jinja")
        .render(
            ablation=ablation,
            setup=describe_setup(results),
            claims=[(judged, format_claim(judged), describe_origin(judged)) for judged in ablation.claims],
            claim_headings=claims_table.HEADINGS,
            explanation=explain_claims(),
            tables=[build_table(ablation, metric, ablation.variants, is_short=False) for metric in ablation.metrics],
            caption=write_caption(ablation),
            effects=format_effects(ablation),
            meanings={column.heading: column.meaning for column in COLUMNS},
            rows=[build_row(run, ablation.metric, place) for variant in ablation.variants for run in variant.runs],
            conditions=describe_conditions(results.details),
            pictures=[(figure, *_load_image(directory / "figures" / f"{figure.name}.svg")) for figure in figures],
            places=[str(directory) for directory in results.directories],
            version=version("normlab"),
            style=Markup(style),  # not escaped, which would change its hash
            script=Markup(script),
            style_hash=_hash(style),
            script_hash=_hash(script),
        )
    )
    # Paths and errors may hold what UTF-8 cannot encode.
    (directory / "index.html").write_bytes(text.encode("utf-8", errors="replace"))


def create_environment() -> Environment:
    """Return the settings of the templates."""
    return Environment(
        loader=PackageLoader("normlab.report.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def read_template(name: str) -> str:
    return (resources.files("normlab.report.page") / "templates" / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """Return the hash by which a Content-Security-Policy allows an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _load_image(file: Path) -> tuple[str, float, float]:
    """Return an SVG image as data URL, with width and height in points, which are 0 if it does not state them."""
    image = file.read_bytes()
    size = re.search(rb'<svg[^>]*? width="([\d.]+)pt" height="([\d.]+)pt"', image[:4096])
    width, height = map(float, size.groups()) if size else (0.0, 0.0)
    return f"data:image/svg+xml;base64,{base64.b64encode(image).decode()}", width, height
