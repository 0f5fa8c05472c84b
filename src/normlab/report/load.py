"""Read run directories into tidy frames: a row per run, and a row per point of a curve."""

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from normlab.report.variants import Label, derive_labels, format_label, parse_number
from normlab.runs.directory import RunDirectory
from normlab.runs.identity import identify
from normlab.runs.record import Record

HEAD = "step,name,value\n"
NORMALIZER_ROWS = "normalizer/"
"""Prefix of the metrics of single normalizers, which only figures of their own show."""


@dataclass(frozen=True)
class Run:
    """A run directory with a readable record and config."""

    directory: RunDirectory
    record: Record
    config: Mapping[str, Any]
    label: Label
    variant: str

    @property
    def id(self) -> str:
        return self.record.run_id

    @cached_property  # read once, so that a report does not contradict itself
    def status(self) -> str:
        """Status of the record if it is a result, else that of the directory."""
        return self.record.status if self.record.is_result else self.directory.state().status


@dataclass(frozen=True)
class Results:
    """All runs below some output directories."""

    directories: tuple[Path, ...]
    details: tuple[Run, ...]
    """All runs, sorted by variant, then by seed."""
    runs: pd.DataFrame
    """A row per run, by `run_id`: `experiment`, `variant`, `seed`, `status`, `steps` (of the config), `seconds`,
    `steps_per_second`, `diverged_at` (step), `precision`, `device`, `path`, a column per factor (`normalizer`,
    `optimizer.lr`, …), and one per final metric (`test/accuracy` in [0, 1], `test/loss` a mean per example)."""
    curves: pd.DataFrame
    """A row per observation: `run_id`, `variant`, `seed`, `step` (steps done), `name` (of the metric), `value`."""
    problems: tuple[str, ...]
    """A line for each thing that could not be read."""
    restore: Callable[[Path], Any] | None = None
    """Function from a run directory to the trained network, set by `normlab.load`."""

    def network(self, run_id: str) -> Any:
        """Return the network of a finished run, on the CPU and in inference mode, with its trained weights.

        Raises:
            ConfigurationError: the run is not finished, or its checkpoint is missing.
            KeyError: there is no such run.
        """
        if self.restore is None:
            raise TypeError("these results have no networks: read them with normlab.load")
        return self.restore(Path(str(self.runs.loc[run_id, "path"])))

    @cached_property
    def observed(self) -> pd.DataFrame:
        """The curves without the final metrics, of which every run has a single value."""
        points = self.curves.groupby(["name", "run_id"], observed=True)["step"].nunique()
        names = points[points > 1].index.get_level_values("name")
        return self.curves[self.curves["name"].isin(names)]


def load(*directories: str | Path, restore: Callable[[Path], Any] | None = None) -> Results:
    """Read all runs below output directories, such as `load("outputs/deep_cnn")`.

    Runs and rows that cannot be read are left out and listed in `problems`.

    Raises:
        FileNotFoundError: a path is not a directory.
    """
    places = tuple(Path(directory) for directory in directories)
    for place in places:
        if not place.is_dir():
            raise FileNotFoundError(
                f"{place} is not a directory: name one that normlab wrote, such as outputs/deep_cnn"
            )
    problems: list[str] = []
    read = list(_drop_duplicates(_read(places, problems), problems))
    labels = derive_labels([config for _, _, config in read], [record.choices for _, record, _ in read])
    runs = [
        Run(directory, record, config, label, format_label(label) or record.run_id.rsplit("-seed", 1)[0])
        for (directory, record, config), label in zip(read, labels, strict=True)
    ]
    runs.sort(key=lambda run: (run.variant, run.record.seed, run.id))
    return Results(places, tuple(runs), _tabulate(runs), _read_curves(runs, problems), tuple(problems), restore)


def read_metrics(directory: RunDirectory, problems: list[str]) -> pd.DataFrame:
    """Return `step`, `name`, `value` of one run; truncated rows are left out and listed in `problems`."""
    columns = {"step": "int64", "name": "str", "value": "float64"}
    rows: list[tuple[int, str, float]] = []
    try:
        head, *lines = directory.metrics.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True) or [""]
    except FileNotFoundError:
        head, lines = HEAD, []
    except OSError as error:
        problems.append(f"{directory.metrics} has no curves: {error}")
        head, lines = HEAD, []
    if head != HEAD:
        problems.append(f"{directory.metrics} has no curves: its first line is not {HEAD.strip()}")
    else:
        rows = [row for line in lines if (row := _parse(line)) is not None]
        if len(rows) < len(lines):
            problems.append(f"{directory.metrics}: {len(lines) - len(rows)} rows cannot be read and are left out")
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def _parse(line: str) -> tuple[int, str, float] | None:
    """Return step, name and value of a line; None for a truncated one, which a missing line end reveals."""
    try:
        step, name, value = next(csv.reader([line]))  # names with commas are quoted
        return (int(step), name, float(value)) if line.endswith("\n") and 0 <= int(step) < 2**63 else None
    except (ValueError, csv.Error):
        return None


def _read(places: Sequence[Path], problems: list[str]) -> Iterator[tuple[RunDirectory, Record, Mapping[str, Any]]]:
    seen: set[Path] = set()
    for place in places:
        for file in sorted(place.rglob("run.json")):
            directory = RunDirectory(file.parent)
            if re.fullmatch(r"\.old\d+", directory.path.suffix):  # moved aside by force=true
                continue
            if directory.path.resolve() in seen:  # nested output directories
                continue
            seen.add(directory.path.resolve())
            try:
                record = directory.read()
                config = yaml.load(directory.config.read_text(encoding="utf-8"), _Loader)
                if record is None or not isinstance(config, dict):
                    raise ValueError(f"{directory.config} is not a config")
                _check(directory, record, config)
                yield directory, record, config
            except (ValueError, OSError, yaml.YAMLError) as error:
                problems.append(f"left out: {' '.join(str(error).split())}")


def _check(directory: RunDirectory, record: Record, config: Mapping[str, Any]) -> None:
    """Raise ValueError if a record or config has values that no run writes, for example after manual edits."""
    try:
        identify(config)
    except (AttributeError, TypeError):
        raise ValueError(f"{directory.config} is not the config of a run") from None
    groups = (record.choices, record.metrics, record.environment, record.published)
    sound = all(isinstance(group, dict) for group in groups)
    sound = sound and all(isinstance(text, str) for text in (record.experiment, record.status))
    if not sound or not all(isinstance(n, int | float) for n in (record.seed, record.steps, *record.metrics.values())):
        raise ValueError(f"{directory.record} is not a record: a field has the wrong type")


def _drop_duplicates(
    read: Iterator[tuple[RunDirectory, Record, Mapping[str, Any]]], problems: list[str]
) -> Iterator[tuple[RunDirectory, Record, Mapping[str, Any]]]:
    """Yield one run for each id: the first finished one if there is any, else the first."""
    kept: dict[str, tuple[RunDirectory, Record, Mapping[str, Any]]] = {}
    for run in read:
        directory, record, _ = run
        other = kept.get(record.run_id)
        if other is not None:
            better = record.is_result and not other[1].is_result
            used, left_out = (directory, other[0]) if better else (other[0], directory)
            problems.append(f"left out: {left_out.path} is the same run as {used.path}")
            if not better:
                continue
        kept[record.run_id] = run
    yield from kept.values()


def _tabulate(runs: Sequence[Run]) -> pd.DataFrame:
    rows = []
    for run in runs:
        record = run.record
        rows.append(
            {
                "run_id": run.id,
                "experiment": record.experiment,
                "variant": run.variant,
                "seed": record.seed,
                "status": run.status,
                "steps": record.steps,
                "seconds": record.seconds,
                "steps_per_second": record.steps_per_second,
                "diverged_at": record.diverged_at,
                "precision": record.environment.get("precision"),
                "device": record.environment.get("device"),
                "path": str(run.directory.path),
                **{
                    key: value if parse_number(value) is None else parse_number(value)
                    for key, value in run.label.items()
                },
                **record.metrics,
            }
        )
    columns = ["run_id", "experiment", "variant", "seed", "status"]
    return pd.DataFrame(rows, columns=None if rows else columns).set_index("run_id")


def _read_curves(runs: Sequence[Run], problems: list[str]) -> pd.DataFrame:
    frames = []
    for run in runs:
        rows = read_metrics(run.directory, problems)
        rows = rows[~rows["name"].str.startswith(NORMALIZER_ROWS)]
        frames.append(rows.assign(run_id=run.id, variant=run.variant, seed=run.record.seed))
    columns = ["run_id", "variant", "seed", "step", "name", "value"]
    if not frames:
        return pd.DataFrame(columns=columns)
    curves = pd.concat(frames, ignore_index=True)[columns]
    return curves.astype({"run_id": "category", "variant": "category", "name": "category"})


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader of libyaml if PyYAML was built with it, ten times as fast."""
