"""The number of steps of a config: as it is given, or from epochs over the training examples."""

import json
import math
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from normlab.config.checks import anchor_path, require_between
from normlab.config.targets import call
from normlab.errors import ConfigurationError

STEPS = 10_000
"""Of a run whose config gives neither steps nor epochs."""


def resolve_steps(config: DictConfig, overrides: Iterable[str], working_directory: str) -> None:
    """Set `steps` of a config and unset `epochs`, so that runs with equal steps are equal whichever was given.

    Epochs are ⌈epochs · N / batch_size⌉ steps, with N training examples of the data, which are loaded for that. Of
    both keys one on the command line wins over one in a file. Raises ConfigurationError if both are given in one place,
    or if epochs, batch size or data are wrong.

    Args:
        config: of a run, unresolved.
        overrides: of the command line.
        working_directory: of the command.
    """
    if not {"steps", "epochs"} <= {str(key) for key in config if not OmegaConf.is_missing(config, key)}:
        return  # which the checks name
    try:
        given = {key: config[key] for key in ("steps", "epochs") if config[key] is not None}
        if len(given) == 2:
            asked = given.keys() & {text.lstrip("+").partition("=")[0] for text in overrides}
            if len(asked) != 1:
                both = " and ".join(f"{key}={value:g}" for key, value in given.items())
                raise ConfigurationError(f"{both} are both set: set one of them, and the other to null")
            given = {key: given[key] for key in asked}
        if "epochs" in given:
            data = OmegaConf.to_container(config.data, resolve=True, throw_on_missing=True)
            assert isinstance(data, dict)
            anchor_path(data, "root", working_directory)
            config.steps = _count_steps(given["epochs"], config.batch_size, json.dumps(data))
        else:
            config.steps = given.get("steps", STEPS)
    except OmegaConfBaseException as error:
        raise ConfigurationError(str(error)) from error
    config.epochs = None


def _count_steps(epochs: float, batch_size: int, data: str) -> int:
    if not 0 < epochs < math.inf:
        raise ConfigurationError(f"epochs={epochs:g} is out of range: choose a number above 0")
    require_between("batch_size", batch_size, 1)
    # As it is written: in binary arithmetic 1.1 epochs of 10 batches are more than 11.
    return math.ceil(Fraction(str(epochs)) * _count_examples(data) / batch_size)


@lru_cache  # a sweep composes a thousand jobs on the same data
def _count_examples(data: str) -> int:
    source = call({"data": json.loads(data)}, "data")
    try:
        return len(source.train[1])
    except (AttributeError, TypeError, LookupError) as error:
        raise ConfigurationError(f"data: the train split is no pair of inputs and targets: {error}") from error
