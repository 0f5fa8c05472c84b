"""Claims: statements of an experiment about its runs, as data under `claims` in its YAML file."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from normlab.runs.identity import flatten

Selector = dict[str, str]
"""Config group or key → value, as text. It selects the runs whose configs agree; empty for all."""

MAIN_METRIC = "val/accuracy"
"""The metric of claims and reports that name none."""
FIRST_LOOK, LAST_LOOK = 6, 20
"""Numbers of seeds between which they are judged: fewer that agree prove nothing if a run either trains or does not."""
KEYS = ("says", "metric", "at", "until", "rate", "of", "where", "over", "like", "than_where", "along", "per")
REGION = ("by", "within", "above", "below", "equals")
EXCLUSIVE = (("at", "until", "rate"), ("over", "like"), ("than_where", "along"))
PER = {"unit": 1.0, "doubling": 2.0, "decade": 10.0}
"""Steps of a factor that a slope is per; the factor counts as it is, or by its logarithm to this base."""


@dataclass(frozen=True)
class Claim:
    """A statement that runs support or refute: one number per seed, whose mean should lie in a region.

    The number is a value of each run (`metric`, at the end or `at` a step; the steps `until` it passes a value; 1 if it
    passes a value in the end, for a `rate`), or the paired difference of that value from a `rival`. Of these numbers
    it may be the difference between two levels of a factor (`than_where`) or the slope `along` a factor.
    """

    name: str
    says: str
    region: tuple[float, float]
    """Closed; either end may be infinite."""
    metric: str | None = None
    """None for the main metric of the report."""
    at: int | None = None
    until: float | None = None
    rate: float | None = None
    of: tuple[Selector, ...] = ({},)
    """The variants that it is about; it is judged for each."""
    where: Selector = field(default_factory=dict)
    rival: Selector | None = None
    comparison: Literal["over", "like", "none"] = "none"
    """Differences are improvements (`over`), or what they are (`like`)."""
    than_where: Selector | None = None
    along: str | None = None
    per: str = "unit"

    @property
    def needs_direction(self) -> bool:
        """Whether it depends on which values of the metric are better."""
        return (self.comparison == "over" and self.rate is None) or self.until is not None or self.rate is not None


def parse_claims(claims: Mapping[str, Any]) -> list[Claim]:
    """Parse the content of `claims`. Raises ValueError, naming the claim and the key, on a mistake."""
    return [_parse(str(name), content) for name, content in claims.items() if content is not None]


def _parse(name: str, content: Any) -> Claim:
    place = f"claims.{name}"
    if not isinstance(content, Mapping):
        raise ValueError(f"{place}={content} is no claim: it needs `says`, variants and what is claimed of them")
    for key in content.keys() - {*KEYS, *REGION}:
        raise ValueError(f"nothing reads {place}.{key}: choose among {', '.join((*KEYS, *REGION))}")
    given = {key: value for key, value in content.items() if value is not None}
    says, metric = given.get("says"), given.get("metric")
    if not isinstance(says, str) or not says.strip():
        raise ValueError(f"{place}.says is missing: say in a sentence what is claimed")
    if metric is not None and not isinstance(metric, str):
        raise ValueError(f"{place}.metric={metric} is no name of a metric, such as val/accuracy")
    for keys in EXCLUSIVE:
        if len(found := [key for key in keys if key in given]) > 1:
            raise ValueError(f"{place} has both {found[0]} and {found[1]}: choose one")
    if "than_where" in given and "over" not in given:
        raise ValueError(f"{place}.than_where compares two differences: set {place}.over too")
    if "per" in given and ("along" not in given or given["per"] not in PER):
        raise ValueError(f"{place}.per={given['per']} is for a slope `along` a factor: choose among {', '.join(PER)}")
    numbers = {key: _read_number(place, key, given[key]) for key in (*REGION, "at", "until", "rate") if key in given}
    at = numbers.get("at")
    if at is not None and (at < 1 or at != int(at)):
        raise ValueError(f"{place}.at={given['at']} is no step: choose an integer from 1 on")
    comparison: Literal["over", "like", "none"] = "over" if "over" in given else "like" if "like" in given else "none"
    selecting = ("over", "like", "where", "than_where")
    selectors = {key: parse_selector(f"{place}.{key}", given[key]) for key in selecting if key in given}
    variants = given.get("of", {})
    return Claim(
        name=name,
        says=" ".join(says.split()),
        region=_read_region(place, given, numbers),
        metric=metric,
        at=None if at is None else int(at),
        until=numbers.get("until"),
        rate=numbers.get("rate"),
        of=tuple(parse_selector(f"{place}.of", it) for it in (variants if isinstance(variants, list) else [variants])),
        where=selectors.get("where", {}),
        rival=selectors.get(comparison),
        comparison=comparison,
        than_where=selectors.get("than_where"),
        along=None if "along" not in given else str(given["along"]),
        per=given.get("per", "unit"),
    )


def parse_selector(place: str, value: Any) -> Selector:
    """Return a normalizer's name, `KEY=VALUE, …` or a mapping as a selector. Raises ValueError."""
    if isinstance(value, Mapping):
        return {key: str(item) for key, item in flatten(value).items()}
    if not isinstance(value, str) or not value:
        raise ValueError(f"{place}={value} is no variant: name a normalizer, or give {{factor: value, …}}")
    if "=" not in value:
        return {"normalizer": value}
    return dict(part.strip().split("=", 1) for part in value.split(", "))


def _read_region(place: str, given: Mapping[str, Any], numbers: Mapping[str, float]) -> tuple[float, float]:
    """Return the region of the claimed mean."""
    is_plain_difference = "over" in given and "along" not in given
    for key, needed in {"by": is_plain_difference, "within": "like" in given or "equals" in given}.items():
        if key in given and not needed:
            raise ValueError(f"{place}.{key} goes with {'over' if key == 'by' else 'like or equals'}")
        if numbers.get(key, 0) < 0:
            raise ValueError(f"{place}.{key}={given[key]} is a margin: choose at least 0")
    if is_plain_difference or "like" in given:
        for key in ("above", "below", "equals"):
            if key in given:
                raise ValueError(f"{place}.{key} is for values: a difference is claimed by `by` or `within`")
    if is_plain_difference:
        return numbers.get("by", 0.0), math.inf
    if "like" in given or "equals" in given:
        if "within" not in given:
            raise ValueError(f"{place}.within is missing: say how large a difference counts as none")
        if "equals" in given and ("above" in given or "below" in given):
            raise ValueError(f"{place}.equals excludes above and below")
        center = numbers.get("equals", 0.0)
        return center - numbers["within"], center + numbers["within"]
    low, high = numbers.get("above", -math.inf), numbers.get("below", math.inf)
    if "above" not in given and "below" not in given:
        raise ValueError(f"{place} claims nothing: set over, like, above, below or equals")
    if low > high:
        raise ValueError(f"{place}: no value is above {given['above']} and below {given['below']}")
    return low, high


def _read_number(place: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{place}.{key}={value} is no finite number")
    return float(value)
