"""Build a report: one directory with page, tables, figures and events for TensorBoard."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from normlab.report.ablation import Ablation
from normlab.report.analysis import Options, analyse
from normlab.report.claims_table import tabulate_claims
from normlab.report.figures import draw
from normlab.report.latex import write_latex
from normlab.report.load import Run, load
from normlab.report.markdown import write_claims, write_markdown
from normlab.report.page.rendering import write_page
from normlab.report.tables import tabulate
from normlab.report.tensorboard import write_events


def build(
    directories: Sequence[Path], options: Options | None = None, keep: Callable[[Run], bool] | None = None
) -> tuple[Ablation, Path]:
    """Build the report of runs below some output directories; return the analysis and the report's directory.

    An existing report is replaced only after the new one is complete. Raises what `load` and `analyse` do, and OSError
    if the report cannot be written.
    """
    ablation = analyse(load(*directories, keep=keep), options)
    place = locate_report(directories)
    place.parent.mkdir(parents=True, exist_ok=True)
    new, old = (place.with_name(f".report.{os.getpid()}{end}") for end in ("", ".old"))
    try:
        _write(ablation, new, place)
        if place.exists():  # a directory cannot be replaced in one step
            place.rename(old)
        new.rename(place)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return ablation, place


def locate_report(directories: Sequence[Path]) -> Path:
    """Return `report` in the output directory; for several ones, in a directory beside them named after all."""
    names = list(dict.fromkeys(directory.resolve() for directory in directories))
    if len(names) == 1:
        return directories[0] / "report"
    return directories[0].parent / "+".join(name.name for name in names) / "report"


def _write(ablation: Ablation, directory: Path, place: Path) -> None:
    figures_directory = directory / "figures"
    figures_directory.mkdir(parents=True)
    figures = draw(ablation, figures_directory)
    tabulate(ablation).to_csv(directory / "table.csv", index=False)
    tabulate_claims(ablation.claims).to_csv(directory / "claims.csv", index=False)
    (directory / "claims.md").write_text(write_claims(ablation), encoding="utf-8")
    (directory / "table.md").write_text(write_markdown(ablation), encoding="utf-8")
    (directory / "table.tex").write_text(write_latex(ablation), encoding="utf-8")
    write_page(ablation, figures, directory, place)
    write_events(ablation, directory)
