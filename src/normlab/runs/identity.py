"""The identity of a run: the part of its config that can change a result, and the id derived from that."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

WITHOUT_EFFECT = (
    "output_root",
    "force",
    "reuse",
    "data.root",
    "published",
    "report",
    "claims",
    "name",
    "by_normalizer",
    "observe.histograms",
    "loggers",
    "epochs",
)
"""Keys that cannot change a result: runs that differ in these alone are the same run.

`by_normalizer` counts through the keys that interpolate it, which hold the resolved value.
"""


def identify(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the resolved config without the keys that cannot change a result."""
    kept = {key: dict(value) if isinstance(value, Mapping) else value for key, value in settings.items()}
    for path in WITHOUT_EFFECT:
        group, _, key = path.rpartition(".")
        node = kept.get(group) or {} if group else kept
        node.pop(key, None)
    if kept.get("accelerator", {}).get("processes", 1) == 1:
        kept.pop("sync_statistics", None)
    if kept.get("data_digest") is None:
        kept.pop("data_digest", None)
    return kept


def run_id(settings: Mapping[str, Any], choices: Mapping[str, str]) -> str:
    """Return the id of a run: a readable slug, and 8 hex digits of a hash of its identity."""
    canonical = json.dumps(_canonical(identify(settings)), sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
    slug = f"{choices['model']}-{choices['normalizer']}-seed{settings['seed']}"
    return f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', slug)}-{digest}"


def variant_id(settings: Mapping[str, Any], choices: Mapping[str, str]) -> str:
    """Return the id that a run would have with the seed 0: equal for runs that differ in their seed alone."""
    return run_id({**settings, "seed": 0}, choices)


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the config with one level of keys, such as `optimizer.lr`, and with equal numbers written equally."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        is_node = isinstance(value, Mapping)
        flat |= flatten(value, f"{prefix}{key}.") if is_node else {f"{prefix}{key}": _canonical(value)}
    return flat


def _canonical(value: Any) -> Any:
    """Write equal numbers equally (1 and 1.0), so that they do not make two runs."""
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
