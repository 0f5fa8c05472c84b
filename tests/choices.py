"""The shipped choices of each config group, so that tests cover a new one without a list of their own."""

from collections.abc import Callable
from functools import cache
from typing import Any

from normlab.config.compose import compose, config_directory
from normlab.config.targets import bind
from normlab.normalizers import bind_features


def choices_of(group: str) -> list[str]:
    """Return the choices of a config group."""
    return sorted(path.stem for path in (config_directory() / group).glob("*.yaml"))


@cache
def normalizer_named(name: str) -> Callable[[int], Any]:
    """Return the factory of a shipped normalizer; `normlab.normalizer` composes its config at every call."""
    return bind_features(bind(compose(f"normalizer={name}").settings, "normalizer"))
