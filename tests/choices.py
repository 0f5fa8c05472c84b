"""The shipped choices of each config group, so that tests cover a new one without a list of their own."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from hydra.utils import get_object

from normlab.config.compose import compose, config_directory
from normlab.config.targets import bind
from normlab.normalizers import bind_features

from .small_digits import SMALL

TINY: dict[str, tuple[str, ...]] = {
    "deep_cnn": ("model.depth=7",),
    "language_model": ("data._target_=tests.small_tokens.SmallTokens", "model.dim=8", "model.depth=2", "model.heads=2"),
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


@cache
def models_of_images() -> list[str]:
    """Return the models that are built for a shape of images."""
    targets = {
        name: compose("data=digits", f"model={name}").settings["model"]["_target_"] for name in choices_of("model")
    }
    return [
        name for name, target in targets.items() if "input_shape" in inspect.signature(get_object(target)).parameters
    ]


def pairs_of_images() -> list[tuple[str, str]]:
    """Return (model, normalizer): every model of images without and with one, and every normalizer in a convnet."""
    models = [(model, normalizer) for model in models_of_images() for normalizer in ("none", "tf_layers")]
    return sorted({*models, *(("convnet", normalizer) for normalizer in choices_of("normalizer"))})


@cache
def normalizer_named(name: str) -> Callable[[int], Any]:
    """Return the factory of a shipped normalizer; `normlab.normalizer` composes its config at every call."""
    return bind_features(bind(compose(f"normalizer={name}").settings, "normalizer"))
