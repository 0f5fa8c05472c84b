"""Set-up of the runs: their number and seeds, the keys in which configs differ, and the environments."""

from collections import Counter
from dataclasses import dataclass

from normlab.report.formatting import NOTHING, format_counts, format_ranges, format_statuses
from normlab.report.load import Results
from normlab.report.tables import count_values
from normlab.report.variants import describe_settings

MUST_AGREE = ("precision", "device", "git_commit", "torch")
"""Parts of the environment that can change a result although they are not in the config."""


@dataclass(frozen=True)
class Setup:
    differing: dict[str, str]
    """Keys whose values differ between runs → the values, with numbers of runs."""
    shared: dict[str, str]
    """Keys with the same value in all runs → that value."""
    runs: str
    seeds: str
    environment: dict[str, str]
    disagreements: list[str]
    """Sentences on differences between environments."""


def describe_setup(results: Results) -> Setup:
    """Compare the configs and environments of all runs, key by key."""
    runs = results.details
    settings = [describe_settings(run.config) for run in runs]
    differing: dict[str, str] = {}
    shared: dict[str, str] = {}
    for key in dict.fromkeys(key for values in settings for key in values):
        counts = Counter(values.get(key, NOTHING) for values in settings)
        (differing if len(counts) > 1 else shared)[key] = format_counts(counts)
    recorded = [run for run in runs if run.record.environment]
    keys = dict.fromkeys(key for run in recorded for key in run.record.environment)
    environments = {key: count_values(recorded, key) for key in keys}
    disagreements = [
        f"Runs differ in {key.replace('_', ' ')}: {format_counts(environments[key])}."
        for key in MUST_AGREE
        if key in environments and len(environments[key]) > 1
    ]
    changed = environments["git_dirty"]["True"] if "git_dirty" in environments else 0
    if changed:
        disagreements.append(f"{changed} of {len(runs)} runs were trained with uncommitted code changes.")
    seeds = [run.record.seed for run in runs]
    return Setup(
        differing=differing,
        shared=shared,
        runs=f"{len(runs)}: {format_statuses(Counter(run.status for run in runs))}",
        seeds=f"{len(set(seeds))}: {format_ranges(seeds)}",
        environment={key.replace("_", " "): format_counts(counts) for key, counts in environments.items()},
        disagreements=disagreements,
    )
