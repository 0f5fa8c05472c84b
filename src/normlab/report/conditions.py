"""Precision, device and threads of runs, which every table of a report names."""

from collections import Counter
from collections.abc import Sequence

from normlab.report.formatting import format_counts
from normlab.report.load import Run

CONDITIONS = ("precision", "device", "threads")


def count_values(runs: Sequence[Run], key: str) -> Counter[str]:
    """Count the values of one key of the runs' environments."""
    values = (run.record.environment.get(key) for run in runs)
    return Counter("not recorded" if value is None else str(value) for value in values)


def summarize_conditions(runs: Sequence[Run]) -> dict[str, str]:
    """Return `{"precision": "32-true", "device": "cpu (12), H100 (3)", …}`, with numbers of runs if they differ."""
    return {key: format_counts(count_values(runs, key)) for key in CONDITIONS}


def describe_conditions(runs: Sequence[Run]) -> str:
    """Return `Precision: 32-true; device: cpu; threads: 1.`; an empty string if there are no runs."""
    text = "; ".join(f"{key}: {values}" for key, values in summarize_conditions(runs).items())
    return f"{text[0].upper()}{text[1:]}." if runs else ""
