"""The `_target_` of a config group: imported, its settings checked against its parameters, then called or bound."""

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, get_args, get_origin

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate

from normlab.errors import ConfigurationError


def call(settings: Mapping[str, Any], group: str, **arguments: Any) -> Any:
    """Call the target of a group with the group's settings and `arguments`; return None if the group is null.

    Raises ConfigurationError, naming the group, if the target cannot be imported or refuses the settings.
    """
    if settings[group] is None:
        return None
    _check_types(group, settings[group])
    try:
        return instantiate(settings[group], **arguments)
    except InstantiationException as error:
        raise ConfigurationError(f"{group}: {error.__cause__ or error}") from error


def bind(settings: Mapping[str, Any], group: str) -> "partial[Any]":
    """Return the target of a group with the group's settings bound to it, positional ones (`_args_`) included.

    Hydra's own partial checks its policy on targets at each call, which the objective would feel at every step. Raises
    ConfigurationError as `call` does.
    """
    target = _check_types(group, settings[group])
    keywords = {key: value for key, value in settings[group].items() if key not in _OF_HYDRA}
    positional = instantiate({"_args_": settings[group].get("_args_", [])}, _convert_="all")
    return partial(target, *positional["_args_"], **instantiate(keywords, _convert_="all"))


EXTRAS = {"timm": "networks", "torchvision": "networks"}
"""Package that a target may be in → extra that installs it."""

logging.getLogger(get_object.__module__).setLevel(logging.CRITICAL)  # it logs what ConfigurationError says again

_OF_HYDRA = ("_target_", "_args_", "_partial_", "_convert_", "_recursive_")
"""Keys that tell Hydra's `instantiate` how to call a target."""


def find_parameters(settings: Mapping[str, Any], group: str) -> Mapping[str, inspect.Parameter] | None:
    """Return the parameters of the target of a group by name; None if they are unknown, as of what is written in C.

    Raises ConfigurationError, naming the group, if the target cannot be imported.
    """
    return _read_parameters(_import_target(group, settings[group]))


def _read_parameters(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError):
        return None


def _import_target(group: str, node: Mapping[str, Any]) -> Callable[..., Any]:
    if "_target_" not in node:
        raise ConfigurationError(f"{group} has no _target_: name the class or function it stands for")
    try:
        target: Callable[..., Any] = get_object(node["_target_"])
    except Exception as error:
        cause = error.__cause__ or error
        missing = getattr(cause, "name", None) or ""
        remedy = ""
        if missing in EXTRAS:
            remedy = f": pip install 'normlab[{EXTRAS[missing]}]'"
        elif missing and missing == node["_target_"].partition(".")[0]:
            remedy = ": install it, or add its folder to PYTHONPATH"
        raise ConfigurationError(f"{group}._target_={node['_target_']} cannot be imported: {cause}{remedy}") from error
    return target


def _check_types(group: str, node: Mapping[str, Any]) -> Callable[..., Any]:
    """Import the target of a group and compare the types of its settings with those of its parameters' defaults.

    The schema types the top-level keys; a group is open to targets of a user's own, whose parameters it cannot know.
    """
    target = _import_target(group, node)
    parameters = _read_parameters(target) or {}
    for key, value in node.items():
        if isinstance(value, Mapping) and "_target_" in value:
            _import_target(f"{group}.{key}", value)
        wanted = _kind(parameters[key]) if key in parameters else None
        accepts = wanted is None or (_accepts_null(parameters[key]) if value is None else _KINDS[wanted](value))
        if not accepts:
            shown = "null" if value is None else repr(value)
            raise ConfigurationError(f"{group}.{key}={shown} has the wrong type: it is {wanted}")
    return target


def _accepts_null(parameter: inspect.Parameter) -> bool:
    """Return whether a parameter with a default of another type takes None, which its annotation may exclude."""
    annotation = parameter.annotation
    return annotation not in (bool, int, float, str) and annotation not in ("bool", "int", "float", "str")


_KINDS: dict[str, Callable[[Any], bool]] = {
    "true or false": lambda value: isinstance(value, bool),
    "an integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "a number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "a text": lambda value: isinstance(value, str),
    "a list": lambda value: isinstance(value, list),
}


def _kind(parameter: inspect.Parameter) -> str | None:
    """Return the kind of value that a parameter takes, judged by its default; None if that does not show."""
    default = parameter.default
    if any(get_origin(each) in (Sequence, list, tuple) for each in get_args(parameter.annotation)):
        return None  # a list beside what the default shows
    if isinstance(default, bool):
        return "true or false"
    if isinstance(default, int | float):
        # A default of 0 may stand for 0.0, so that the annotation has the last word on integers.
        return "an integer" if parameter.annotation in (int, "int") else "a number"
    if isinstance(default, str):
        return "a text"
    return "a list" if isinstance(default, list | tuple) else None
