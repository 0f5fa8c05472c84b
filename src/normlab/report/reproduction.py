"""The claims of several experiments in one table: printed, and as Markdown and a page with links to their reports."""

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from markupsafe import Markup
from rich.console import Console
from rich.table import Table

from normlab.report.analysis import analyse
from normlab.report.formatting import format_interval
from normlab.report.load import load
from normlab.report.markdown import escape_markdown
from normlab.report.page.rendering import create_environment, read_template

HEADINGS = ("experiment", "source", "claim", "verdict", "interval", "published figures", "runs", "core-minutes")


@dataclass(frozen=True)
class Reproduction:
    """Runs of an experiment from which its claims are judged."""

    experiment: str
    directory: Path
    run_ids: Collection[str]

    @property
    def link(self) -> str:
        """The report, seen from the directory above that of the experiment."""
        return f"{self.directory.name}/report/index.html"


def write_reproduction(reproductions: Sequence[Reproduction], directory: Path, file: TextIO) -> None:
    """Print a row per claim, and write `reproduction.md` and `reproduction.html`. Raises OSError."""
    rows = [(it, row) for it in reproductions for row in tabulate_claims(it)]
    table = Table(*HEADINGS, show_lines=True)
    lines = [" | ".join(HEADINGS), " | ".join("---" for _ in HEADINGS)]
    for it, (name, *others) in rows:
        table.add_row(name, *others)
        lines.append(" | ".join([f"[{name}]({it.link})", *map(escape_markdown, others)]))
    (directory / "reproduction.md").write_text("\n".join(f"| {line} |" for line in lines) + "\n", encoding="utf-8")
    style = Markup(read_template("page.css"))
    page = (
        create_environment()
        .get_template("reproduction.html.jinja")
        .render(headings=HEADINGS, rows=[(it.link, row) for it, row in rows], style=style)
    )
    (directory / "reproduction.html").write_text(page, encoding="utf-8")
    Console(file=file, width=None if sys.stdout.isatty() else 120, highlight=False, markup=False).print(table)
    print(f"Page: {directory / 'reproduction.html'}", file=file)


def tabulate_claims(reproduction: Reproduction) -> list[tuple[str, ...]]:
    """Return a row for each claim of an experiment, as text in the order of `HEADINGS`."""
    if not reproduction.directory.is_dir():
        return []
    ids = reproduction.run_ids
    ablation = analyse(load(reproduction.directory, keep=lambda run: run[1].run_id in ids))
    cells = [cell for variant in ablation.variants for cell in variant.cells.values()]
    verdicts = [cell.reproduction.verdict for cell in cells if cell.reproduction]
    ended = [run.record for run in ablation.results.details if run.record.is_result]
    shared = (
        f"{verdicts.count('reproduced')} of {len(verdicts)}" if verdicts else "",
        f"{len(ended)} of {len(ids)}",
        f"{sum(record.core_seconds for record in ended) / 60:.1f}",
    )
    rows: list[tuple[str, ...]] = []
    for judged in ablation.claims:
        intervals = [format_interval(it.judgement.low, it.judgement.high) for it in judged.verdicts]
        source = ablation.source.split(". ")[0]
        rows.append((reproduction.experiment, source, judged.claim.says, judged.outcome, "\n".join(intervals), *shared))
    return rows
