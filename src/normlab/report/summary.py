"""The table a sweep ends with: final accuracies of each variant over its seeds, beside the published figures."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from normlab.config import identity
from normlab.records import Record

Finished = tuple[Mapping[str, Any], Record]
"""The resolved config of a finished run, and its record."""


def variants(runs: Sequence[Finished]) -> dict[str, list[Record]]:
    """Group runs by what tells them apart, seed aside: choices of config groups that differ, then further keys.

    A key that follows from the choices (a normalizer's momentum, say) is not named.
    """
    labels: list[dict[str, str]] = [{} for _ in runs]
    flat = [_flat(identity(settings)) for settings, _ in runs]
    choices = [{key: str(value) for key, value in record.choices.items() if key != "experiment"} for _, record in runs]
    for source in (choices, flat):
        for key in dict.fromkeys(key for values in source for key in values if key != "seed"):
            values = [run.get(key, "–") for run in source]
            seen: dict[str, str] = {}
            if any(seen.setdefault(str(label), value) != value for label, value in zip(labels, values, strict=True)):
                for label, value in zip(labels, values, strict=True):
                    label[key] = value
    grouped: dict[str, list[Record]] = {}
    for label, (_, record) in zip(labels, runs, strict=True):
        grouped.setdefault(_name(label) or record.run_id.rsplit("-seed", 1)[0], []).append(record)
    return grouped


def print_summary(runs: Sequence[Finished], directory: Path, file: TextIO) -> None:
    """Print variant, seeds, final accuracies as mean ± standard deviation, published figures, and where to look on.

    Args:
        runs: the finished runs of one sweep.
        directory: the folder to open in TensorBoard.
        file: where to print.
    """
    console = Console(file=file, width=None if file.isatty() else 120, highlight=False)
    if runs:
        console.print(_table(variants(runs)))
    console.print(f"Curves and hyperparameters: tensorboard --logdir {directory}", soft_wrap=True, markup=False)


def _table(grouped: Mapping[str, Sequence[Record]]) -> Table:
    records = [record for group in grouped.values() for record in group]
    metrics = list(dict.fromkeys(name for record in records for name in record.metrics if name.endswith("accuracy")))
    table = Table(caption="mean ± standard deviation over seeds; published: one run of its author's")
    table.add_column("variant")
    table.add_column("seeds", justify="right")
    for metric in metrics:
        table.add_column(metric.replace("/", "\n"), justify="right")
        if any(_published(record, metric) is not None for record in records):
            table.add_column("published", justify="right", style="dim")
    for variant, group in grouped.items():
        cells = [variant, str(len(group))]
        for metric in metrics:
            cells.append(_mean_and_deviation([record.metrics[metric] for record in group if metric in record.metrics]))
            if any(_published(record, metric) is not None for record in records):
                published = _published(group[0], metric)
                cells.append("–" if published is None else f"{published:.4f}")
        table.add_row(*cells)
    return table


def _published(record: Record, metric: str) -> float | None:
    figure = record.published.get(record.choices.get("normalizer", ""), {}).get(metric)
    return None if figure is None else float(figure)


def _mean_and_deviation(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "".join(f"{value:.4f}" for value in values) or "–"
    return f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}"


def _name(label: Mapping[str, str]) -> str:
    if list(label) == ["normalizer"]:
        return label["normalizer"]
    return ", ".join(f"{key}={value}" for key, value in label.items())


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": str(value)}
    return flat
