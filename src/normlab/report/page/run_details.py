"""What the page tells of single runs: a row each, and the details that a reader opens."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normlab.report.ablation import Ablation
from normlab.report.formatting import NOTHING, Shown, decimal, sortable, whole
from normlab.report.load import Run
from normlab.report.page.setup_in_words import differing_keys

LOG_LINES = 40
LONGEST_LINE = 1_000
LOG_BYTES = 64 * 1024
"""How much of a log's end is read: it may be many gigabytes long."""
TERMINAL_CODE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Row:
    run: Run
    cells: list[Shown]


def rows(ablation: Ablation) -> list[Row]:
    """Return the row of each run, variants in the order of the report: seed, status, metric, seconds, divergence."""
    return [Row(run, _cells(run, ablation.metric)) for variant in ablation.variants for run in variant.runs]


def details(
    ablation: Ablation, settings: Mapping[str, Mapping[str, str]], commands: Mapping[str, str]
) -> dict[str, Any]:
    """Return `lines` and `runs` as JSON data: texts of a run are lists of places in `lines`.

    Runs have most lines of their records in common, and every distinct one is kept once: a fifth of the size.

    Args:
        ablation: of the runs.
        settings: run id → flat identity config.
        commands: run id → shell command that makes it again.
    """
    lines: dict[str, int] = {}
    differing = differing_keys(settings)

    def places(text: str) -> list[int]:
        return [lines.setdefault(line, len(lines)) for line in text.split("\n")] if text else []

    runs = {}
    for run in ablation.results.details:
        values = settings[run.id]
        runs[run.id] = {
            "path": str(run.directory.path),
            "command": commands.get(run.id, ""),
            "error": places((run.record.error or "").strip()),
            "settings": [[key, values[key]] for key in differing if key in values],
            "log": places(tail(run.directory.log)),
            "record": places(json.dumps(vars(run.record), indent=2, ensure_ascii=False)),
        }
    return {"lines": list(lines), "runs": runs}


def tail(log: Path) -> str:
    """Return the last lines of a log; where it cannot be read, why."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError as error:
        return f"There is no log: {error.strerror}"
    found = [
        line.rpartition("\r")[2] for line in TERMINAL_CODE.sub("", text).rstrip().replace("\r\n", "\n").split("\n")
    ]
    return "\n".join(
        f"{line[:LONGEST_LINE]} … {len(line) - LONGEST_LINE} more characters" if len(line) > LONGEST_LINE else line
        for line in found[-LOG_LINES:]
    )


def _cells(run: Run, metric: str) -> list[Shown]:
    record = run.record
    value, seconds = record.metrics.get(metric), record.seconds
    return [
        Shown(str(record.seed), str(record.seed)),
        Shown(run.status),
        Shown(decimal(value), sortable(value)),
        Shown(NOTHING if seconds is None else decimal(seconds, 1), sortable(seconds)),
        Shown("" if record.diverged_at is None else whole(record.diverged_at), sortable(record.diverged_at)),
    ]
