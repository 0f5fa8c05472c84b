"""Parameters that are read from source are those that importing tells, and the shipped choices need no import."""

import inspect

import pytest
import torch
import yaml
from hydra.utils import get_object

from normlab.config.compose import config_directory
from normlab.config.signatures import Parameters, parameters_in_source, parameters_of

from ..choices import choices_of

GROUPS = ("data", "preprocessing", "model", "normalizer", "initializer", "objective", "optimizer")
SHIPPED = sorted(
    {
        content["_target_"]
        for group in GROUPS
        for choice in choices_of(group)
        if "_target_" in (content := yaml.safe_load((config_directory() / group / f"{choice}.yaml").read_text()))
    }
)
OF_TORCH = [
    *(f"torch.optim.{name}" for name in torch.optim.__all__),
    *(f"torch.nn.{name}" for name in torch.nn.modules.__all__),
]
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def told(parameters: Parameters) -> dict[str, tuple[object, bool]]:
    """Return name → default, and whether it is annotated as an integer: all that the check of a config looks at."""
    return {
        name: (parameter.default, parameter.annotation in (int, "int"))
        for name, parameter in parameters.items()
        if parameter.kind not in VARIADIC
    }


@pytest.mark.parametrize("target", SHIPPED)
def test_what_a_shipped_choice_is_called_with_is_read_without_an_import(target: str) -> None:
    read = parameters_in_source(target)
    assert read is not None
    assert told(read) == told(inspect.signature(get_object(target)).parameters)


def test_what_is_read_of_torch_is_what_importing_tells() -> None:
    read = {target: found for target in OF_TORCH if (found := parameters_in_source(target)) is not None}
    assert len(read) > len(OF_TORCH) / 2
    for target, parameters in read.items():
        assert told(parameters) == told(inspect.signature(get_object(target)).parameters), target


@pytest.mark.parametrize(
    "target",
    [
        "torch.nn.LazyBatchNorm1d",  # of two bases
        "torch.nn.RReLU",  # a default that is computed
        "torch.nn.functional.linear",  # written in C
        "torch.nn.functional.max_pool2d",  # assigned
        "torch.nn.Nothing",
        "torch.nothing.Layer",
        "nowhere.Layer",
        "normlab.data.splits.Splits",  # decorated
        "normlab.data.splits.Splits.of",
        "torch.optim..SGD",
        "torch",
    ],
)
def test_what_source_does_not_tell_is_left_to_importing(target: str) -> None:
    assert parameters_in_source(target) is None


def test_what_source_does_not_tell_is_imported() -> None:
    computed = parameters_of("torch.nn.RReLU")
    assert (computed["lower"].default, computed["upper"].default) == (1 / 8, 1 / 3)
    assert not parameters_of("torch.nn.functional.linear")
    with pytest.raises(ImportError, match="Nothing"):
        parameters_of("torch.nn.Nothing")


def test_a_class_takes_what_its_base_takes_where_it_has_no_constructor_of_its_own() -> None:
    read = parameters_in_source("normlab.normalizers.BatchNormByFormula")
    assert read is not None
    assert read["momentum"].default == 0.1
