"""Variants of an ablation: runs are labelled by the choices and keys in which they differ, except the seed."""

from collections.abc import Mapping, Sequence
from typing import Any

from normlab.runs.identity import identify

PRECISION = "accelerator.precision"

Label = dict[str, str]
"""Factor (a config group, or a key such as `optimizer.lr`) → its value in one variant."""


def derive_labels(configs: Sequence[Mapping[str, Any]], choices: Sequence[Mapping[str, Any]]) -> list[Label]:
    """Return the label of each run; empty if all runs have one config, except the seed.

    Choices of config groups come first, then further keys. A key whose value is determined by the factors before it
    (such as the momentum of a normalizer) is left out, except the precision, which every table must name.

    Args:
        configs: the resolved config of each run.
        choices: of each run, config group → choice.
    """
    labels: list[Label] = [{} for _ in configs]
    chosen = [{group: str(choice) for group, choice in run.items() if group != "experiment"} for run in choices]
    for source in (chosen, [flatten(identify(config)) for config in configs]):
        for key in dict.fromkeys(key for values in source for key in values if key != "seed"):
            values = [run.get(key, "–") for run in source]
            if len(set(values)) > 1 and (key == PRECISION or not _is_determined(values, labels)):
                for label, value in zip(labels, values, strict=True):
                    label[key] = value
    return labels


def _is_determined(values: Sequence[str], labels: Sequence[Label]) -> bool:
    """Whether equal labels always come with equal values."""
    seen: dict[tuple[str, ...], str] = {}
    return all(
        seen.setdefault(tuple(label.values()), value) == value for label, value in zip(labels, values, strict=True)
    )


def format_label(label: Mapping[str, str]) -> str:
    """Return `tf_nn` if only normalizers differ, else `normalizer=tf_nn, optimizer.lr=0.1`; empty for no label."""
    if list(label) == ["normalizer"]:
        return label["normalizer"]
    return ", ".join(f"{key}={value}" for key, value in label.items())


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the config with one level of keys: `{"optimizer.lr": "0.1", …}`."""
    found: dict[str, str] = {}
    for key, value in config.items():
        found |= (
            flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": _describe(value)}
        )
    return found


def _describe(value: Any) -> str:
    """Format equal numbers alike: runs with a learning rate of 1 and of 1.0 belong to one variant."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def swap_baseline(label: Label, baseline: Mapping[str, str]) -> Label:
    """Return the label of the variant to compare with: the same factors, but with the values of the baseline."""
    return {**label, **baseline}


def choose_baseline(asked: str | None, labels: Sequence[Label]) -> dict[str, str]:
    """Return the factors and values that identify the baseline.

    Args:
        asked: a normalizer, a value of the only factor, or `KEY=VALUE, …`; None for `normalizer=none`.
        labels: of all variants, in order.

    Raises:
        ValueError: no variant has the values asked for.
    """
    first = labels[0] if labels else {}
    if asked is None:
        wanted = {"normalizer": "none"}
    elif "=" in asked:
        wanted = dict(part.strip().split("=", 1) for part in asked.split(", "))
    else:
        wanted = {"normalizer" if "normalizer" in first else next(iter(first), ""): asked}
    if any(wanted.items() <= label.items() for label in labels):
        return wanted
    if asked is None:
        return dict(first)
    names = "; ".join(dict.fromkeys(filter(None, map(format_label, labels))))
    raise ValueError(f"no variant is {asked!r}: {f'choose among {names}' if names else 'all runs are of one variant'}")


def sort_labels(labels: Sequence[Label], baseline: Mapping[str, str]) -> list[Label]:
    """Return the distinct labels, sorted factor by factor: the baseline's value first, `none`, numbers, other words."""
    distinct = {tuple(label.items()): label for label in labels}

    def place(label: Label) -> list[tuple[bool, bool, bool, float, str]]:
        return [(baseline.get(key) != value, value != "none", *_sort_key(value)) for key, value in label.items()]

    return sorted(distinct.values(), key=place)


def parse_number(value: str) -> float | None:
    """Return the value of a factor as a number; None if it is not one."""
    try:
        return float(value)
    except ValueError:
        return None


def _sort_key(value: str) -> tuple[bool, float, str]:
    found = parse_number(value)
    return (found is None, found or 0.0, value)
