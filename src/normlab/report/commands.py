"""The commands that make runs again, told from their configs."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from shlex import quote
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from normlab.config.checks import ConfigurationError, identity
from normlab.config.compose import composed
from normlab.report.load import Run


def commands(runs: Sequence[Run]) -> dict[str, str]:
    """Return, by run id, the command that makes this run again; under "" what makes all of them."""
    single = {run.id: _arguments(run) for run in runs}
    together = [_for_all(runs, single, experiment) for experiment in dict.fromkeys(map(_experiment, runs))]
    return {"": "\n".join(together), **{run: _command(arguments) for run, arguments in single.items()}}


def _command(arguments: Iterable[str]) -> str:
    return " ".join(["normlab", *map(quote, arguments)])


def _arguments(run: Run) -> list[str]:
    """Return the command line for one run: its choices, then the keys that those leave to be set.

    Where a choice is of a config directory of the user's own, its keys cannot be compared, and it says so.
    """
    experiment = _experiment(run)
    base = [f"experiment={experiment}", "hydra.mode=RUN"] if experiment else []
    usual = _composed(*base)
    if usual is not None:
        settled = usual[1]
        chosen = [f"{group}={choice}" for group, choice in run.record.choices.items() if settled.get(group) != choice]
        given = _composed(*base, *chosen)
        if given is not None:
            return [*base, *chosen, *_keys(identity(run.config), identity(given[0]))]
    chosen = [f"{group}={choice}" for group, choice in run.record.choices.items() if group != "experiment"]
    return ["--config-dir=DIR", *base, *chosen, f"seed={run.record.seed}"]


def _for_all(runs: Sequence[Run], single: Mapping[str, list[str]], experiment: str) -> str:
    """Return the sweep over all values that the runs of an experiment take, and what they all set."""
    own = [run for run in runs if _experiment(run) == experiment]
    swept: dict[str, dict[str, None]] = {}
    for run in own:
        for key, value in run.label.items():
            swept.setdefault(key, {})[_value(value) if "." in key else value] = None
    seeds = ",".join(str(seed) for seed in sorted({run.record.seed for run in own}))
    sweep = [*(f"{key}={','.join(values)}" for key, values in swept.items()), f"seed={seeds}"]
    if experiment and "normalizer" not in swept:
        sweep.insert(0, f"normalizer={own[0].record.choices.get('normalizer', 'none')}")
    start = [f"experiment={experiment}"] if experiment else ["--multirun"]
    varying = {"hydra.mode", "experiment", *(override.partition("=")[0] for override in sweep)}
    shared = [
        argument
        for argument in single[own[0].id]
        if argument.partition("=")[0] not in varying and all(argument in single[run.id] for run in own)
    ]
    return _command([*start, *shared, *sweep])


def _experiment(run: Run) -> str:
    return str(run.record.choices.get("experiment") or "")


@cache
def _composed(*overrides: str) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """Return the settings and choices that these overrides lead to; None where they name what is not ours."""
    try:
        return composed(*overrides)
    except (HydraException, OmegaConfBaseException, ConfigurationError):
        return None


def _keys(wanted: Any, given: Any, path: str = "") -> Iterator[str]:
    """Yield the overrides that lead from one config to another."""
    if not (isinstance(wanted, Mapping) and isinstance(given, Mapping)):
        if wanted != given or isinstance(wanted, bool) != isinstance(given, bool):
            yield f"{path}={_value(wanted)}"
        return
    for key in dict.fromkeys([*wanted, *given]):
        here = f"{path}.{key}" if path else str(key)
        if key not in wanted:
            yield f"~{here}"
        elif key not in given:
            yield f"+{here}={_value(wanted[key])}"
        else:
            yield from _keys(wanted[key], given[key], here)


def _value(value: Any) -> str:
    """Return a value in Hydra's grammar of overrides."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_value, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", value) and not _is_number(value):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return str(value)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?", text) is not None
