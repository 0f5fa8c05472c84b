"""What the arithmetic of runs was done in and on, which every table of a report names: precision, device, threads."""

from collections import Counter
from collections.abc import Sequence

from normlab.report.formatting import counted
from normlab.report.load import Run

CONDITIONS = ("precision", "device", "threads")


def recorded(runs: Sequence[Run], key: str) -> Counter[str]:
    """Count the values of one key of the runs' environments."""
    values = (run.record.environment.get(key) for run in runs)
    return Counter("not recorded" if value is None else str(value) for value in values)


def conditions(runs: Sequence[Run]) -> dict[str, str]:
    """Return `{"precision": "32-true", "device": "cpu (12), H100 (3)", …}`, with numbers of runs where they differ."""
    return {key: counted(recorded(runs, key)) for key in CONDITIONS}


def conditions_in_words(runs: Sequence[Run]) -> str:
    """Return `Precision: 32-true; device: cpu; threads: 1.`; nothing where there are no runs."""
    told = "; ".join(f"{key}: {values}" for key, values in conditions(runs).items())
    return f"{told[0].upper()}{told[1:]}." if runs else ""
