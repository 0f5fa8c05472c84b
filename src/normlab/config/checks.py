"""What in a config makes two runs different, and the checks that need nothing but the config."""

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf

from normlab.config.signatures import parameters_of


class ConfigurationError(CompactHydraException):
    """A mistake that the user can mend: its message is printed alone, and the exit status is 1."""


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Say how to install one of the project's extras where an import within needs it. Raises ConfigurationError."""
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(f"{error}: pip install 'normlab[{name}]'") from error


GROUPS = (
    "data",
    "preprocessing",
    "model",
    "normalizer",
    "initializer",
    "convolution_initializer",
    "objective",
    "optimizer",
)
SPLITS = ("train", "val", "test")
OBSERVABLE = (*SPLITS, "train_batch", "test_batch", "normalizers")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
LARGEST_SEED = 2**32 - 1

WITHOUT_EFFECT = ("output_root", "force", "data.root", "published", "report", "by_normalizer")
"""Keys that cannot change a result, so that runs which differ in them alone are the same run.

`by_normalizer` counts where it is looked up: what was found stands, resolved, in the key that asked.
"""


def validated(config: DictConfig) -> dict[str, Any]:
    """Return the config as plain data, with all interpolations resolved and everything checked that it alone can tell.

    Raises ConfigurationError, naming key and remedy.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except Exception as error:
        raise ConfigurationError(str(error)) from error
    assert isinstance(plain, dict)
    settings = {str(key): value for key, value in plain.items()}
    _validate(settings)
    return settings


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the resolved config without the keys that cannot change a result."""
    kept = {key: dict(value) if isinstance(value, Mapping) else value for key, value in config.items()}
    for path in WITHOUT_EFFECT:
        *parents, key = path.split(".")
        node = kept
        for parent in parents:
            node = node.get(parent) or {}
        node.pop(key, None)
    accelerator = kept.get("accelerator", {})
    if accelerator.get("processes", 1) == 1:  # the same run as before there were several
        accelerator.pop("processes", None)
        kept.pop("sync_statistics", None)
    for switch in ("cuda_graph", "deterministic"):
        if not accelerator.get(switch):  # the same run as before there was the switch
            accelerator.pop(switch, None)
    return kept


def run_id(config: Mapping[str, Any], choices: Mapping[str, Any]) -> str:
    """Return the name of a run: a readable slug and 8 hex digits of a hash over its identity."""
    canonical = json.dumps(_canonical(identity(config)), sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
    slug = f"{choices['model']}-{choices['normalizer']}-seed{config['seed']}"
    return f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', slug)}-{digest}"


def _canonical(value: Any) -> Any:
    """Write equal numbers alike (1 and 1.0), so that they do not make two runs of one."""
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def experiment_directory(config: Mapping[str, Any], choices: Mapping[str, Any]) -> Path:
    """Return `<output_root>/<experiment>`; runs without an experiment share "single"."""
    return Path(config["output_root"]).expanduser() / str(choices.get("experiment") or "single")


def run_directory(config: Mapping[str, Any], choices: Mapping[str, Any]) -> Path:
    """Return `<output_root>/<experiment>/runs/<run id>`."""
    return experiment_directory(config, choices) / "runs" / run_id(config, choices)


def observations(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the rules under `observe` that are in force; one set to null is not."""
    return {name: rule for name, rule in config["observe"].items() if rule is not None}


def _validate(config: Mapping[str, Any]) -> None:
    _require_between("seed", config["seed"], 0, LARGEST_SEED)
    _require_between("steps", config["steps"], 1)
    _require_between("batch_size", config["batch_size"], 1)
    _require_between("evaluate.one_by_one", config["evaluate"]["one_by_one"], 0)
    for split in config["evaluate"]["splits"]:
        _require_choice("evaluate.splits", split, SPLITS)
    for name, rule in observations(config).items():
        _require_choice("observe", name, OBSERVABLE)
        _require_between(f"observe.{name}.first", rule["first"], 1)
        _require_between(f"observe.{name}.every", rule["every"], 1)
        if rule["unless"] is not None:
            _require_choice(f"observe.{name}.unless", rule["unless"], tuple(observations(config)))
    _require_choice("accelerator.kind", config["accelerator"]["kind"], ("auto", "cpu", "gpu"))
    _require_choice("accelerator.precision", config["accelerator"]["precision"], PRECISIONS)
    if config["accelerator"]["threads"] is not None:
        _require_between("accelerator.threads", config["accelerator"]["threads"], 1)
    processes = config["accelerator"]["processes"]
    _require_between("accelerator.processes", processes, 1)
    if config["batch_size"] % processes:
        raise ConfigurationError(
            f"batch_size={config['batch_size']} cannot be shared evenly by accelerator.processes={processes}:"
            f" choose a multiple of {processes}"
        )
    if config["accelerator"]["cuda_graph"] and (processes > 1 or config["accelerator"]["precision"] == "16-mixed"):
        raise ConfigurationError(
            "accelerator.cuda_graph records an update that waits for nothing, which those of several processes do, and"
            " 16-mixed for its loss scale: choose accelerator.processes=1 and another accelerator.precision"
        )
    for group in GROUPS:
        if config[group] is not None:
            _check_against_target(group, config[group])
    _require_between("optimizer.lr", config["optimizer"].get("lr", 0), 0)


def _require_between(key: str, value: float, smallest: int, largest: int | None = None) -> None:
    if value < smallest or (largest is not None and value > largest):
        wanted = f"at least {smallest}" if largest is None else f"{smallest} to {largest}"
        raise ConfigurationError(f"{key}={value} is out of range: choose {wanted}")


def _require_choice(key: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{key} names {value!r}, which is none of {', '.join(choices)}")


def _check_against_target(group: str, node: Mapping[str, Any]) -> None:
    """Compare the values of a group with the defaults of what its `_target_` is called with.

    The schema types the top-level keys; a group is open to targets of the user's own, so the type of a value
    is checked against that of the parameter's default, where it has one.
    """
    if "_target_" not in node:
        raise ConfigurationError(f"{group} has no _target_: name the class or function it stands for")
    try:
        parameters = parameters_of(node["_target_"])
    except Exception as error:
        raise ConfigurationError(f"{group}._target_={node['_target_']} cannot be imported: {error}") from error
    for key, value in node.items():
        if key in parameters:
            wanted = _kind(parameters[key])
            if wanted is not None and not _KINDS[wanted](value):
                raise ConfigurationError(f"{group}.{key}={value!r} has the wrong type: it is {wanted}")


_KINDS: dict[str, Callable[[Any], bool]] = {
    "true or false": lambda value: isinstance(value, bool),
    "an integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "a number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "a text": lambda value: isinstance(value, str),
    "a list": lambda value: isinstance(value, list),
}


def _kind(parameter: inspect.Parameter) -> str | None:
    """Return what a parameter takes, told from its default; None where there is none to tell."""
    default = parameter.default
    if isinstance(default, bool):
        return "true or false"
    if isinstance(default, int | float):
        # A default of 0 may stand for 0.0, so that the annotation has the last word on integers.
        return "an integer" if parameter.annotation in (int, "int") else "a number"
    if isinstance(default, str):
        return "a text"
    return "a list" if isinstance(default, list | tuple) else None
