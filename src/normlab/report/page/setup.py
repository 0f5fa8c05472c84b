"""Setup of the runs: settings and environment that all of them share, and those in which they differ."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from normlab.report.ablation import Ablation
from normlab.report.conditions import count_values
from normlab.report.formatting import format_count, format_counts, format_ranges
from normlab.report.load import Run
from normlab.report.variants import flatten
from normlab.runs.identity import identify

GROUPS = {
    "model": "Network",
    "data": "Data",
    "preprocessing": "Preprocessing",
    "initializer": "Initial weights",
    "objective": "Objective",
    "optimizer": "Optimizer",
}
MUST_AGREE = {
    "precision": "precision",
    "device": "device",
    "git_commit": "git commit",
    "torch": "version of torch",
}
"""Parts of the environment that can change results and are not in the config."""
MOST_NAMED = 12


@dataclass(frozen=True)
class Setup:
    terms: list[tuple[str, str]]
    """Term and description."""
    shared: dict[str, str]
    """Keys of the config with the same value in all runs, and that value."""
    differing: list[str]
    """The other keys."""
    environment: list[tuple[str, str]]
    disagreements: list[str]
    """Warnings about differences between the environments of runs."""


def describe(ablation: Ablation, settings: Mapping[str, Mapping[str, str]]) -> Setup:
    """Describe runs by their configs.

    Args:
        ablation: results to describe.
        settings: flat identity config by run id.
    """
    runs = ablation.results.details
    differing = find_differing_keys(settings)
    first = settings[runs[0].id] if runs else {}
    known = [run for run in runs if run.record.environment]
    by_key = {
        key: count_values(known, key) for key in dict.fromkeys(key for run in known for key in run.record.environment)
    }
    disagreements = [
        f"Runs differ in {words}: {format_counts(by_key[key])}."
        for key, words in MUST_AGREE.items()
        if key in by_key and len(by_key[key]) > 1
    ]
    changed = by_key["git_dirty"]["True"] if "git_dirty" in by_key else 0
    if changed:
        disagreements.append(f"{changed} of {len(runs)} runs used code with uncommitted changes.")
    return Setup(
        terms=_list_terms(ablation) if runs else [],
        shared={key: value for key, value in first.items() if key not in differing},
        differing=differing,
        environment=[(key.replace("_", " "), format_counts(counts)) for key, counts in by_key.items()],
        disagreements=disagreements,
    )


def flatten_settings(runs: Sequence[Run]) -> dict[str, dict[str, str]]:
    """Return by run id the part of its config that can change results, with one level of keys."""
    return {run.id: flatten(identify(run.config)) for run in runs}


def find_differing_keys(settings: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the keys in which runs differ, in the order of the configs."""
    seen: dict[str, set[str | None]] = {}
    for key in dict.fromkeys(key for values in settings.values() for key in values):
        seen[key] = {values.get(key) for values in settings.values()}
    return [key for key, values in seen.items() if len(values) > 1]


def _list_terms(ablation: Ablation) -> list[tuple[str, str]]:
    runs = ablation.results.details
    terms = [
        (title, format_counts(Counter(run.record.choices.get(group, "not recorded") for run in runs)))
        for group, title in GROUPS.items()
    ]
    seeds = [run.record.seed for run in runs]
    names = [variant.name for variant in ablation.variants]
    listed = "; ".join(names[:MOST_NAMED]) + (f"; and {len(names) - MOST_NAMED} more" * (len(names) > MOST_NAMED))
    counts = Counter(run.status for run in runs)
    return [
        *terms,
        ("Batch size", format_counts(Counter(str(run.config.get("batch_size", "")) for run in runs))),
        ("Steps", format_counts(Counter(format_count(run.record.steps) for run in runs))),
        ("Seeds", f"{len(set(seeds))}: {format_ranges(seeds)}"),
        ("Variants", f"{len(names)}: {listed}"),
        ("Runs", f"{len(runs)}: {', '.join(f'{count} {status}' for status, count in counts.items())}"),
    ]
