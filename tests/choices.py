"""The shipped choices of each config group, so that tests cover a new one without a list of their own."""

from collections.abc import Callable
from functools import cache
from typing import Any

from normlab.config.compose import compose, config_directory
from normlab.config.targets import bind
from normlab.normalizers import bind_features

from .small_digits import SMALL

TINY: dict[str, tuple[str, ...]] = {
    "deep_cnn": ("model.depth=7",),
    "imported": ("model.network._target_=tests.small_network.SmallNetwork",),
    "language_model": ("data._target_=tests.small_tokens.SmallTokens", "model.dim=8", "model.depth=2", "model.heads=2"),
    "lstm": ("model.hidden=10", "optimizer.lr=0.001"),  # at scale 1 a higher rate blows rounding up
    "resnet": ("model.depth=8", "model.width=4"),
    "vit": ("model.patch=5", "model.dim=8", "model.depth=2", "model.heads=2"),
}
"""Overrides that make a model small, with data of another kind than images where it needs them."""


def choices_of(group: str) -> list[str]:
    """Return the choices of a config group."""
    return sorted(path.stem for path in (config_directory() / group).glob("*.yaml"))


def tiny(model: str) -> tuple[str, ...]:
    """Return the overrides for a small version of a shipped model on a small data set."""
    return ("data=digits", SMALL, f"model={model}", *TINY.get(model, ()))


def pairs_of_model_and_normalizer() -> list[tuple[str, str]]:
    """Return every model with two normalizers, for tests that take seconds for each pair."""
    return [(model, normalizer) for model in choices_of("model") for normalizer in ("none", "batch")]


@cache
def normalizer_named(name: str) -> Callable[[int], Any]:
    """Return the factory of a shipped normalizer; `normlab.normalizer` composes its config at every call."""
    return bind_features(bind(compose(f"normalizer={name}").settings, "normalizer"))
