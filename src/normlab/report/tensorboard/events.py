"""The report as TensorBoard shows it: a run per variant with mean curves, and one with layout, figures and texts."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from normlab.report.ablation import Ablation, Variant
from normlab.report.figures.curves import average_pointwise
from normlab.report.figures.drawing import LARGEST, Figure
from normlab.report.markdown import plain
from normlab.report.ranking import that_fit
from normlab.report.tensorboard.event_file import EventFile
from normlab.report.tensorboard.layout import layout_of, margin_tags
from normlab.report.tensorboard.texts import config_text, environment_text, report_text

MOST_VARIANTS = 30
"""Variants that get a run. TensorBoard draws no run at all, unless asked to, where there are more than 40."""
LONGEST_SLUG = 80

Points = Mapping[int, Mapping[str, float]]
"""Step → {tag: value}."""


def write_events(ablation: Ablation, figures: Sequence[Figure], directory: Path) -> None:
    """Write event files into a report directory, and below its `variants/`, none of which may be there yet.

    Args:
        ablation: the results, analysed.
        figures: those whose pictures, `figures/<name>.png`, are shown; one without such a file is left out.
        directory: of the report; its `table.md` is shown where there is one.
    """
    wall_time = _newest(ablation)
    drawn = that_fit(ablation, MOST_VARIANTS)
    rows = _rows(ablation, drawn)
    points = {str(name): _points(own) for name, own in rows.groupby("variant", observed=True)}
    for slug, variant in zip(slugs_of([variant.name for variant in drawn]), drawn, strict=True):
        with EventFile(directory / "variants" / slug, wall_time) as events:
            events.add_text("variant/config", config_text(variant))
            events.add_text("variant/environment", environment_text(variant))
            for step, values in sorted(points.get(variant.name, {}).items()):
                events.add_scalars(step, values)
    found = set(rows["name"])
    metrics = [name for name in ablation.metrics if name in found]
    metrics += sorted(found - set(metrics))
    with EventFile(directory, wall_time) as events:
        events.add_layout(layout_of(metrics))
        events.add_text("report", report_text(ablation, len(drawn), directory / "table.md"))
        _add_figures(events, figures, directory)


def slugs_of(names: Sequence[str]) -> list[str]:
    """Return a name of a directory for each variant: readable, different in more than case, and safe as a path.

    Ten and more are numbered, so that TensorBoard's alphabetical list keeps their order.
    """
    digits = len(str(len(names)))
    slugs: list[str] = []
    taken: set[str] = set()
    for place, name in enumerate(names, start=1):
        slug = re.sub(r"[^\w.=+,-]+", "_", name.replace(", ", ",")).lstrip(".")
        if digits > 1:
            slug = f"{place:0{digits}}_{slug}"
        if not slug or slug.casefold() in taken or len(slug.encode()) > LONGEST_SLUG:
            digest = hashlib.sha256(f"{place} {name}".encode(errors="replace")).hexdigest()[:8]
            start = slug.encode()[: LONGEST_SLUG - len(digest) - 1].decode(errors="ignore")
            slug = f"{start}-{digest}"
        taken.add(slug.casefold())
        slugs.append(slug)
    return slugs


def _rows(ablation: Ablation, drawn: Sequence[Variant]) -> pd.DataFrame:
    """Return the points that mean curves are made of, the same as in the figures of the report.

    Values that are not finite are left out, and diverged runs where others of their variant are left.
    """
    curves = ablation.results.observed
    rows = curves[curves["variant"].isin([variant.name for variant in drawn]) & (curves["value"].abs() < LARGEST)]
    rows = rows.sort_values("step", kind="stable").drop_duplicates(["run_id", "name", "step"], keep="last")
    diverged = [run.id for run in ablation.results.details if run.record.status == "diverged"]
    settled = ~rows["run_id"].isin(diverged)
    has_settled = settled.groupby([rows["variant"], rows["name"]], observed=True).transform("any")
    return rows[settled | ~has_settled.astype(bool)]


def _points(rows: pd.DataFrame) -> Points:
    """Return the mean curves of one variant with their intervals."""
    points: dict[int, dict[str, float]] = {}
    for name, own in rows.groupby("name", observed=True):
        metric = str(name)
        steps, mean, half = average_pointwise(own[["step", "value"]].to_numpy(dtype=np.float64))
        tags = (metric, *margin_tags(metric))
        # Both ends stand where they are nan too: the page wants mean and ends at the same steps.
        for step, *values in zip(steps, mean, mean, mean - half, mean + half, strict=True):
            points.setdefault(int(step), {}).update(zip(tags, map(float, values), strict=True))
    return points


def _newest(ablation: Ablation) -> float:
    """Return when the newest record was written; 0 where there is none."""
    newest = 0.0
    for run in ablation.results.details:
        try:
            newest = max(newest, run.directory.record.stat().st_mtime)
        except OSError:  # moved since it was read
            continue
    return newest


def _add_figures(events: EventFile, figures: Iterable[Figure], directory: Path) -> None:
    for figure in figures:
        try:
            png = (directory / "figures" / f"{figure.name}.png").read_bytes()
            events.add_png(f"figures/{figure.name}", png, plain(figure.caption))
        except (OSError, ValueError):  # the page says what is missing
            continue
