"""Building a report: from run directories to one folder with page, tables, figures and TensorBoard's events."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from normlab.report.ablation import Ablation
from normlab.report.analysis import Options, analyse
from normlab.report.figures import draw
from normlab.report.latex import latex
from normlab.report.load import load
from normlab.report.markdown import markdown
from normlab.report.page.rendering import write_page
from normlab.report.tables import tidy
from normlab.report.tensorboard import write_events


def build(directories: Sequence[Path], options: Options | None = None) -> tuple[Ablation, Path]:
    """Build the report of all runs below some output directories; return what was found, and the report's directory.

    A report of one directory is its `report`; one of several is in a directory beside them that is named after all.
    The old report stays until the new one is whole.

    Raises:
        FileNotFoundError: where a directory is none.
        ValueError: where the options name a baseline or a metric that the runs do not have.
        OSError: where the report cannot be written.
    """
    ablation = analyse(load(*directories), options)
    place = report_directory(directories)
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_name(f".report.{os.getpid()}")
    try:
        _write(ablation, new, place)
        _replace(place, new)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return ablation, place


def report_directory(directories: Sequence[Path]) -> Path:
    """Return where the report of some output directories goes."""
    names = list(dict.fromkeys(directory.resolve() for directory in directories))
    if len(names) == 1:
        return directories[0] / "report"
    return directories[0].parent / "+".join(name.name for name in names) / "report"


def _write(ablation: Ablation, directory: Path, place: Path) -> None:
    figures_directory = directory / "figures"
    figures_directory.mkdir(parents=True)
    figures = draw(ablation, figures_directory)
    tidy(ablation).to_csv(directory / "table.csv", index=False)
    (directory / "table.md").write_text(markdown(ablation), encoding="utf-8")
    (directory / "table.tex").write_text(latex(ablation), encoding="utf-8")
    write_page(ablation, figures, directory, place)
    write_events(ablation, directory)


def _replace(place: Path, new: Path) -> None:
    """Put a new directory in the place of the old one, which a directory cannot do in one step."""
    old = place.with_name(f".report.{os.getpid()}.old")
    if place.exists():
        place.rename(old)
    new.rename(place)
    shutil.rmtree(old, ignore_errors=True)
