"""What tells the variants of an ablation apart: the choices and keys that differ between runs, seed aside."""

from collections.abc import Mapping, Sequence
from typing import Any

from normlab.runs.identity import identify

PRECISION = "accelerator.precision"

Label = dict[str, str]
"""Factor (a config group, or a key such as `optimizer.lr`) → its value in one variant."""


def labels_of(configs: Sequence[Mapping[str, Any]], choices: Sequence[Mapping[str, Any]]) -> list[Label]:
    """Return for each run what tells it from runs of other variants, seed aside; empty where nothing does.

    Choices of config groups come first, then further keys. A key that follows from those before it (the momentum of
    a normalizer, say) is left out, save the precision: no table may keep silent about it.

    Args:
        configs: the resolved config of each run.
        choices: of each run, config group → choice.
    """
    labels: list[Label] = [{} for _ in configs]
    chosen = [{group: str(choice) for group, choice in run.items() if group != "experiment"} for run in choices]
    for source in (chosen, [flat(identify(config)) for config in configs]):
        for key in dict.fromkeys(key for values in source for key in values if key != "seed"):
            values = [run.get(key, "–") for run in source]
            if len(set(values)) > 1 and (key == PRECISION or not _follows(values, labels)):
                for label, value in zip(labels, values, strict=True):
                    label[key] = value
    return labels


def _follows(values: Sequence[str], labels: Sequence[Label]) -> bool:
    """Whether equal labels always come with equal values."""
    seen: dict[tuple[str, ...], str] = {}
    return all(
        seen.setdefault(tuple(label.values()), value) == value for label, value in zip(labels, values, strict=True)
    )


def name_of(label: Mapping[str, str]) -> str:
    """Return `tf_nn` where normalizers alone differ, else `normalizer=tf_nn, optimizer.lr=0.1`; empty for no label."""
    if list(label) == ["normalizer"]:
        return label["normalizer"]
    return ", ".join(f"{key}={value}" for key, value in label.items())


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the config as one level: `{"optimizer.lr": "0.1", …}`."""
    found: dict[str, str] = {}
    for key, value in config.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": _told(value)}
    return found


def _told(value: Any) -> str:
    """Write equal numbers alike: runs with a rate of 1 and of 1.0 are runs of one variant."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def partner(label: Label, baseline: Mapping[str, str]) -> Label:
    """Return the label of what a variant is compared with: its own, with the baseline's values put in."""
    return {**label, **baseline}


def baseline_from(asked: str | None, labels: Sequence[Label]) -> dict[str, str]:
    """Return the factors, and their values, that make a variant the baseline.

    Args:
        asked: a normalizer, a value of the only factor, or `KEY=VALUE, …`; None for `normalizer=none`.
        labels: of all variants, in order.

    Raises:
        ValueError: where a baseline is asked for that no variant has.
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
    names = "; ".join(dict.fromkeys(filter(None, map(name_of, labels))))
    raise ValueError(f"no variant is {asked!r}: {f'choose among {names}' if names else 'all runs are of one variant'}")


def in_order(labels: Sequence[Label], baseline: Mapping[str, str]) -> list[Label]:
    """Return the distinct labels, sorted factor by factor: the baseline's value first, `none`, numbers, other words."""
    distinct = {tuple(label.items()): label for label in labels}

    def place(label: Label) -> list[tuple[bool, bool, bool, float, str]]:
        return [(baseline.get(key) != value, value != "none", *_natural(value)) for key, value in label.items()]

    return sorted(distinct.values(), key=place)


def number(value: str) -> float | None:
    """Return the number that a factor's value is, or None."""
    try:
        return float(value)
    except ValueError:
        return None


def _natural(value: str) -> tuple[bool, float, str]:
    found = number(value)
    return (found is None, found or 0.0, value)
