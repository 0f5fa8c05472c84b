"""The claims of several experiments in one table: printed, and as Markdown and a page with links to their reports."""

import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table

from normlab.report.analysis import analyse
from normlab.report.formatting import format_interval
from normlab.report.load import load
from normlab.report.markdown import escape_markdown
from normlab.report.page.rendering import LINK, write_html
from normlab.report.tables import blank_repeats
from normlab.runs.run import Run

HEADINGS = ("experiment", "source", "claim", "verdict", "interval", "published figures", "runs", "core-minutes")


def write_reproduction(experiments: Mapping[str, Sequence[Run]], file: TextIO) -> None:
    """Print a row per claim, without sources, and write `reproduction.md` and `reproduction.html` beside the runs.

    Claims of an experiment are judged from its runs alone. Raises OSError.
    """
    places = {name: runs[0].experiment_directory for name, runs in experiments.items()}
    rows = [
        (f"{places[name].name}/report/index.html", row)
        for name, runs in experiments.items()
        for row in _tabulate(name, runs)
    ]
    directory = next(iter(places.values())).parent
    printed = [place for place, heading in enumerate(HEADINGS) if heading != "source"]
    table = Table(*(HEADINGS[place] for place in printed), show_lines=True)
    for row in blank_repeats([row for _, row in rows], 1):
        table.add_row(*(row[place] for place in printed))
    lines = [HEADINGS, ["---"] * len(HEADINGS)]
    lines += [[f"[{name}]({link})", *map(escape_markdown, others)] for link, (name, *others) in rows]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    (directory / "reproduction.md").write_text(text, encoding="utf-8")
    page = directory / "reproduction.html"
    linked = [[LINK.format(link, name), *others] for link, (name, *others) in rows]
    write_html(page, "reproduction.html.jinja", headings=HEADINGS, rows=linked)
    Console(file=file, width=None if sys.stdout.isatty() else 120, highlight=False, markup=False).print(table)
    print(f"Page: {page}", file=file)


def _tabulate(experiment: str, runs: Sequence[Run]) -> list[tuple[str, ...]]:
    """Return a row for each claim of an experiment, as text in the order of `HEADINGS`."""
    ids = {run.id for run in runs}
    if not any(run.directory.path.is_dir() for run in runs):  # none has left a trace
        return []
    ablation = analyse(load(runs[0].experiment_directory, keep=lambda run: run.id in ids))
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
        rows.append((experiment, source, judged.claim.says, judged.outcome, "\n".join(intervals), *shared))
    return rows
