"""Read run directories into tidy frames: a row per run, and a row per point of a curve."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from normlab.report.observations import read_observations
from normlab.report.variants import Label, derive_labels, name_variant, parse_number
from normlab.runs.directory import RunDirectory, find_runs
from normlab.runs.identity import identify
from normlab.runs.record import Record

LARGEST = 1e150
"""Values beyond this count as infinite: their squares would overflow."""
NORMALIZER_ROWS = "normalizer/"
"""Prefix of names in `metrics.csv` that describe single normalizers; frames of curves leave them out."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, if PyYAML was built with it, is ten times as fast


@dataclass(frozen=True)
class Run:
    """A run directory with a readable record and config."""

    directory: RunDirectory
    record: Record
    config: Mapping[str, Any]
    label: Label = field(default_factory=dict)
    variant: str = ""
    """Name of the variant; it and the label depend on the runs that are read together."""

    @property
    def id(self) -> str:
        return self.record.run_id

    @cached_property  # a run may end while its report is built, which must not contradict itself
    def status(self) -> str:
        """The status in the record if it is a result, else derived from the record and the directory's owner."""
        return self.record.status if self.record.is_result else self.directory.state().status


@dataclass(frozen=True)
class Results:
    """All runs below some output directories."""

    directories: tuple[Path, ...]
    details: tuple[Run, ...]
    """All runs, sorted by variant and seed."""
    runs: pd.DataFrame
    """A row per run, by `run_id`: `experiment`, `variant`, `seed`, `status`, `steps` (requested), `seconds`,
    `steps_per_second`, `diverged_at` (step), `precision`, `device`, `path`, a column per factor (`normalizer`,
    `optimizer.lr`, …), and one per final metric (`test/accuracy` a share, `test/loss` a mean per example)."""
    curves: pd.DataFrame
    """A row per observation: `run_id`, `variant`, `seed`, `step`, `name` (of the metric), `value`."""
    problems: tuple[str, ...]
    """Files that could not be read, and why, a line each."""
    is_tuned: bool = False
    """Whether the runs are those at the best value of a factor, chosen for each variant."""
    at_edge: Mapping[str, str] = field(default_factory=dict)
    """Variant → why a value beyond those tried may be better."""
    restore: Callable[[Path], Any] | None = None
    """Function from a run directory to the trained network, set by `normlab.load`: the report does not import torch."""

    def network(self, run_id: str) -> Any:
        """Return the network of a finished run, on the CPU and in inference mode, with its trained weights.

        Raises ConfigurationError if the run is not finished or has no checkpoint, KeyError if there is no such run, and
        TypeError if the results come from `normlab.report.load`.
        """
        if self.restore is None:
            raise TypeError("these results cannot restore networks: read them with normlab.load")
        return self.restore(Path(str(self.runs.loc[run_id, "path"])))

    @cached_property
    def metrics_info(self) -> dict[str, dict[str, Any]]:
        """Direction and bounds of each metric, as the records of the runs say."""
        return {name: info for run in self.details for name, info in run.record.metrics_info.items()}

    def higher_is_better(self, metric: str) -> bool:
        """Whether larger values of a metric are better."""
        return bool(self.metrics_info.get(metric, {}).get("better") != "lower")

    def bounds(self, metric: str) -> tuple[float, float]:
        """Return the smallest and the largest possible value of a metric; infinite if there is none."""
        info = self.metrics_info.get(metric, {})
        low, high = info.get("low"), info.get("high")
        return -math.inf if low is None else float(low), math.inf if high is None else float(high)

    @cached_property
    def curves_over_steps(self) -> pd.DataFrame:
        """The finite values of curves, without metrics that no run observed at more than one step.

        Rows are in the order of steps; of a step that a run observed twice, the last value counts.
        """
        steps = self.curves.groupby(["name", "run_id"], observed=True)["step"].nunique()
        names = steps[steps > 1].index.get_level_values("name")
        curves = self.curves[self.curves["name"].isin(names) & (self.curves["value"].abs() < LARGEST)]
        return curves.sort_values("step", kind="stable").drop_duplicates(["run_id", "name", "step"], keep="last")


def load(
    *directories: str | Path,
    keep: Callable[[Run], bool] | None = None,
    restore: Callable[[Path], Any] | None = None,
) -> Results:
    """Read all runs below output directories, such as `load("outputs/deep_cnn")`.

    `keep` says of a run, whose label is not known yet, whether it is part of the results; unreadable runs and files are
    listed in `problems`. Raises FileNotFoundError if a directory does not exist, and ValueError if `keep` keeps no run.
    """
    places = tuple(Path(directory) for directory in directories)
    for place in places:
        if not place.is_dir():
            raise FileNotFoundError(
                f"{place} is not a directory: name one that normlab wrote, such as outputs/deep_cnn"
            )
    problems: list[str] = []
    found = list(_find_runs(places, problems))
    kept = _drop_duplicates(filter(keep, found), problems)
    if found and not kept:
        raise ValueError(f"none of the {len(found)} runs below {', '.join(map(str, places))} is as asked for")
    labels = derive_labels([run.config for run in kept], [run.record.choices for run in kept])
    names = [name_variant(label, kept[0].id) for label in labels]
    runs = [replace(run, label=label, variant=name) for run, label, name in zip(kept, labels, names, strict=True)]
    runs.sort(key=lambda run: (run.variant, run.record.seed, run.id))
    curves = _collect_curves(runs, problems)
    return Results(places, tuple(runs), _tabulate(runs), curves, tuple(problems), restore=restore)


def get_report_settings(runs: Sequence[Run]) -> Mapping[str, Any]:
    """Return the `report` settings of the first run that has any."""
    for settings in (run.config.get("report") for run in runs):
        if isinstance(settings, Mapping) and any(value is not None for value in settings.values()):
            return settings
    return {}


def _find_runs(places: Sequence[Path], problems: list[str]) -> Iterator[Run]:
    directories: dict[Path, RunDirectory] = {}
    for directory in chain.from_iterable(map(find_runs, places)):  # one place may contain another
        directories.setdefault(directory.path.resolve(), directory)
    for directory in directories.values():
        if not directory.is_aside:
            try:
                yield _read(directory)
            except (ValueError, OSError, yaml.YAMLError) as error:
                problems.append(f"left out: {' '.join(str(error).split())}")


def _read(directory: RunDirectory) -> Run:
    """Read record and config. Raises ValueError if one has content that no run writes, such as after a manual edit."""
    record = directory.read()
    config = _parse_config(directory.config.read_text(encoding="utf-8"))
    if record is None or not isinstance(config, dict):
        raise ValueError(f"{directory.config} is not a config")
    try:
        identify(config)
    except (AttributeError, TypeError):
        raise ValueError(f"{directory.config} is not the config of a run") from None
    infos = record.metrics_info.values() if isinstance(record.metrics_info, dict) else [None]
    groups = (record.choices, record.metrics, record.environment, record.published, *infos)
    sound = all(isinstance(group, dict) for group in groups)
    sound = sound and all(isinstance(text, str) for text in (record.experiment, record.status))
    if not sound or not all(isinstance(n, int | float) for n in (record.seed, record.steps, *record.metrics.values())):
        raise ValueError(f"{directory.record} is not a record: a field has the wrong type")
    return Run(directory, record, config)


def _parse_config(text: str) -> Any:
    """Parse a config key by key: the runs of a sweep share most of its parts, and YAML takes longest to read."""
    head, *parts = re.split(r"^(?=\w+:)", text, flags=re.MULTILINE)
    if parts and not head:
        try:
            return {key: value for part in parts for key, value in _parse_yaml(part).items()}
        except (AttributeError, yaml.YAMLError):
            pass  # a part is no mapping by itself
    return _parse_yaml(text)


@lru_cache(maxsize=1000)
def _parse_yaml(text: str) -> Any:
    return yaml.load(text, _Loader)


def _drop_duplicates(runs: Iterable[Run], problems: list[str]) -> list[Run]:
    """Return one run for each id: the first that is a result, else the first."""
    kept: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: not run.record.is_result):
        used = kept.setdefault(run.id, run)
        if used is not run:
            problems.append(f"left out: {run.directory.path} is the same run as {used.directory.path}")
    return list(kept.values())


def _tabulate(runs: Sequence[Run]) -> pd.DataFrame:
    rows = [
        {
            "run_id": run.id,
            "experiment": run.record.experiment,
            "variant": run.variant,
            "seed": run.record.seed,
            "status": run.status,
            "steps": run.record.steps,
            "seconds": run.record.seconds,
            "steps_per_second": run.record.steps_per_second,
            "diverged_at": run.record.diverged_at,
            "precision": run.record.environment.get("precision"),
            "device": run.record.environment.get("device"),
            "path": str(run.directory.path),
            **{key: value if (n := parse_number(value)) is None else n for key, value in run.label.items()},
            **run.record.metrics,
        }
        for run in runs
    ]
    columns = ["run_id", "experiment", "variant", "seed", "status"]
    return pd.DataFrame(rows, columns=None if rows else columns).set_index("run_id")


def _collect_curves(runs: Sequence[Run], problems: list[str]) -> pd.DataFrame:
    read = [read_observations(run.directory, problems) for run in runs]
    by_run = {"run_id": [run.id for run in runs], "variant": [run.variant for run in runs]}
    curves = pd.DataFrame({key: _categorize(column) for key, column in by_run.items()})
    curves["seed"] = [run.record.seed for run in runs]
    curves = curves.take([place for place, (steps, _, _) in enumerate(read) for _ in steps])
    curves["step"] = [step for steps, _, _ in read for step in steps]
    curves["name"] = _categorize([name for _, names, _ in read for name in names])
    curves["value"] = [value for _, _, values in read for value in values]
    kept = [name for name in curves["name"].cat.categories if not name.startswith(NORMALIZER_ROWS)]
    curves = curves[curves["name"].isin(kept)].reset_index(drop=True)
    return curves.assign(**{key: curves[key].cat.remove_unused_categories() for key in (*by_run, "name")})


def _categorize(texts: Sequence[str]) -> pd.Categorical:
    return pd.Categorical(np.array(texts, dtype=object))  # other arrays are converted first, which takes longer
