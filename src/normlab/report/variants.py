"""Variants of an ablation: runs are labelled by the choices and keys in which they differ, except the seed."""

from collections.abc import Mapping, Sequence
from typing import Any

from normlab.report.claims import parse_selector
from normlab.runs.identity import flatten, identify

PRECISION = "accelerator.precision"

Label = dict[str, str]
"""Factor (a config group, or a key such as `optimizer.lr`) → its value in one variant."""


def derive_labels(configs: Sequence[Mapping[str, Any]], choices: Sequence[Mapping[str, Any]]) -> list[Label]:
    """Return the label of each run; empty labels if runs differ in nothing but the seed.

    Choices of config groups come first, then further keys. A key that is determined by those before it (such as the
    momentum of a normalizer) is left out, except the precision, which every table has to state.
    """
    labels: list[Label] = [{} for _ in configs]
    chosen = [{group: str(choice) for group, choice in run.items() if group != "experiment"} for run in choices]
    for source in (chosen, [describe_settings(config) for config in configs]):
        for key in dict.fromkeys(key for run in source for key in run if key != "seed"):
            values = [run.get(key, "–") for run in source]
            known = [tuple(label.values()) for label in labels]
            is_new = len(set(zip(known, values, strict=True))) > len(set(known))
            if is_new or (key == PRECISION and len(set(values)) > 1):
                for label, value in zip(labels, values, strict=True):
                    label[key] = value
    return labels


def format_label(label: Mapping[str, str]) -> str:
    """Return `tf_nn` if only normalizers differ, else `normalizer=tf_nn, optimizer.lr=0.1`; empty for no label."""
    if list(label) == ["normalizer"]:
        return label["normalizer"]
    return ", ".join(f"{key}={value}" for key, value in label.items())


def name_variant(label: Mapping[str, str], run_id: str) -> str:
    """Return the label as text; if it is empty, the part that the ids of all runs of a variant share."""
    return format_label(label) or run_id.rsplit("-seed", 1)[0]


def describe_settings(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the part of a config that can change results, with one level of keys: `{"optimizer.lr": "0.1", …}`."""
    return {key: str(value) for key, value in flatten(identify(config)).items()}


def describe_run(config: Mapping[str, Any], choices: Mapping[str, str]) -> dict[str, str]:
    """Return the choices of config groups, and all keys that can change results, also those in which no runs differ."""
    return {**choices, **describe_settings(config)}


def choose_baseline(text: str | None, labels: Sequence[Label]) -> dict[str, str]:
    """Return the factors, and their values, that make a variant the baseline. Raises ValueError if there is none.

    The text is a normalizer, a value of the only factor, or `KEY=VALUE, …`; None is for `normalizer=none`, or the first
    variant if no run has that.
    """
    first = labels[0] if labels else {}
    if text is None:
        factors = {"normalizer": "none"}
    elif "=" in text:
        factors = parse_selector("baseline", text)
    else:
        factors = {"normalizer" if "normalizer" in first else next(iter(first), ""): text}
    if any(factors.items() <= label.items() for label in labels):
        return factors
    if text is None:
        return dict(first)
    names = "; ".join(dict.fromkeys(filter(None, map(format_label, labels))))
    raise ValueError(f"no variant is {text!r}: {f'choose among {names}' if names else 'all runs are of one variant'}")


def sort_labels(labels: Sequence[Label], baseline: Mapping[str, str]) -> list[Label]:
    """Return the distinct labels, sorted factor by factor: the baseline's value, `none`, numbers, other words."""
    distinct = {tuple(label.items()): label for label in labels}

    def order(label: Label) -> list[tuple[bool, bool, bool, float, str]]:
        return [
            (baseline.get(key) != value, value != "none", number is None, number or 0.0, value)
            for key, value in label.items()
            for number in [parse_number(value)]
        ]

    return sorted(distinct.values(), key=order)


def parse_number(value: str) -> float | None:
    """Return a factor's value as a number, or None if it is not one."""
    try:
        return float(value)
    except ValueError:
        return None
