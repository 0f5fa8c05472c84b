"""What the runs were made with, in words: what all of them share, and where they differ."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from normlab.report.ablation import Ablation
from normlab.report.conditions import recorded
from normlab.report.formatting import counted, ranges, whole
from normlab.report.load import Run
from normlab.report.variants import flat
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
"""Parts of the environment that can change a result without standing in the config."""
MOST_NAMED = 12


@dataclass(frozen=True)
class Setup:
    terms: list[tuple[str, str]]
    """What, and how in words."""
    shared: dict[str, str]
    """Keys of the config that all runs have with one value."""
    differing: list[str]
    """Keys whose values they do not share."""
    environment: list[tuple[str, str]]
    disagreements: list[str]
    """Sentences on parts of the environment in which runs differ."""


def describe(ablation: Ablation, settings: Mapping[str, Mapping[str, str]]) -> Setup:
    """Describe runs by their configs.

    Args:
        ablation: of the runs.
        settings: run id → flat identity config.
    """
    runs = ablation.results.details
    differing = differing_keys(settings)
    first = settings[runs[0].id] if runs else {}
    known = [run for run in runs if run.record.environment]
    by_key = {
        key: recorded(known, key) for key in dict.fromkeys(key for run in known for key in run.record.environment)
    }
    disagreements = [
        f"Runs differ in {words}: {counted(by_key[key])}."
        for key, words in MUST_AGREE.items()
        if key in by_key and len(by_key[key]) > 1
    ]
    changed = by_key["git_dirty"]["True"] if "git_dirty" in by_key else 0
    if changed:
        disagreements.append(f"{changed} of {len(runs)} runs were made with uncommitted changes in the code.")
    return Setup(
        terms=_terms(ablation) if runs else [],
        shared={key: value for key, value in first.items() if key not in differing},
        differing=differing,
        environment=[(key.replace("_", " "), counted(counts)) for key, counts in by_key.items()],
        disagreements=disagreements,
    )


def flat_settings(runs: Sequence[Run]) -> dict[str, dict[str, str]]:
    """Return run id → what of its config can change its result, as one level."""
    return {run.id: flat(identify(run.config)) for run in runs}


def differing_keys(settings: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the keys whose values are not shared by all runs, in the order of the configs."""
    seen: dict[str, set[str | None]] = {}
    for key in dict.fromkeys(key for values in settings.values() for key in values):
        seen[key] = {values.get(key) for values in settings.values()}
    return [key for key, values in seen.items() if len(values) > 1]


def _terms(ablation: Ablation) -> list[tuple[str, str]]:
    runs = ablation.results.details
    configs = [identify(run.config) for run in runs]
    terms = [
        (title, counted(Counter(_words(run, config, group) for run, config in zip(runs, configs, strict=True))))
        for group, title in GROUPS.items()
    ]
    terms.append(("Batch size", counted(Counter(str(run.config.get("batch_size", "")) for run in runs))))
    terms.append(("Updates", counted(Counter(whole(run.record.steps) for run in runs))))
    seeds = [run.record.seed for run in runs]
    terms.append(("Seeds", f"{len(set(seeds))}: {ranges(seeds)}"))
    names = [variant.name for variant in ablation.variants]
    listed = "; ".join(names[:MOST_NAMED]) + (f"; and {len(names) - MOST_NAMED} more" * (len(names) > MOST_NAMED))
    terms.append(("Variants", f"{len(names)}: {listed}"))
    counts = Counter(run.status for run in runs)
    terms.append(("Runs", f"{len(runs)}: {', '.join(f'{count} {status}' for status, count in counts.items())}"))
    return [(title, words) for title, words in terms if words]


def _words(run: Run, config: Mapping[str, Any], group: str) -> str:
    """Return `adam, lr 0.002, betas 0.9 0.999` for a config group of a run; empty where it has none."""
    node = config.get(group)
    values = node if isinstance(node, Mapping) else {}
    name = run.record.choices.get(group) or str(values.get("_target_", "")).rpartition(".")[2]
    return ", ".join(
        [name, *(f"{key} {_value(value)}" for key, value in values.items() if key != "_target_")] if name else []
    )


def _value(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
