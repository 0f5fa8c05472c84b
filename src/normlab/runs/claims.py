"""The claims of an experiment on disk, each with its day, and the runs that might have been needed to decide them."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from normlab.files import write_atomically
from normlab.runs.directory import find_runs

FILE = "claims.json"
BUDGET = "budget.json"


@dataclass(frozen=True)
class NotedClaim:
    """A claim as it was when a sweep of its experiment last started."""

    claim: Mapping[str, Any]
    """Its content in the config."""
    hash: str
    """8 hex digits of the content."""
    date: str
    """Day on which the claim was first noted with this content, as YYYY-MM-DD."""
    runs_before: int
    """Runs of the experiment that had ended by then."""


def note_claims(directory: Path, claims: Mapping[str, Any]) -> None:
    """Note the claims of an experiment in its directory, and keep the day of those that are there as they are.

    Raises OSError.
    """
    before = read_claims(directory)
    noted: dict[str, NotedClaim] = {}
    ended: int | None = None
    for name, claim in claims.items():
        if claim is None:  # left out on the command line
            continue
        digest = hashlib.sha256(json.dumps(claim, sort_keys=True).encode()).hexdigest()[:8]
        if name in before and before[name].hash == digest:
            noted[name] = before[name]
            continue
        if ended is None:  # looks into every run, so only if a claim is new, and once
            ended = sum(run.state().is_result for run in find_runs(directory))
        noted[name] = NotedClaim(claim, digest, date.today().isoformat(), ended)
    if noted != before:
        directory.mkdir(parents=True, exist_ok=True)
        content = {name: asdict(claim) for name, claim in noted.items()}
        write_atomically(directory / FILE, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_claims(directory: Path) -> dict[str, NotedClaim]:
    """Return the claims noted in the directory of an experiment; none if the file is missing or damaged."""
    try:
        content = json.loads((directory / FILE).read_text(encoding="utf-8"))
        return {name: NotedClaim(**claim) for name, claim in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def note_budget(directory: Path, run_ids: Collection[str]) -> None:
    """Note the runs of a sweep that adds seeds until claims are decided, as they would be with most seeds.

    Raises OSError.
    """
    write_atomically(directory / BUDGET, json.dumps(sorted(run_ids), indent=2) + "\n")


def read_budget(directory: Path) -> frozenset[str]:
    """Return the ids of these runs; none if the file is missing or damaged."""
    try:
        return frozenset(json.loads((directory / BUDGET).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return frozenset()
