"""Any class of torch.nn and any function takes its number of features, whatever the parameter is called."""

from functools import partial
from typing import Any

import pytest
import torch
from network_libraries import import_network_library
from torch import nn

import normlab
from normlab.config.targets import bind
from normlab.normalizers import BatchNorm, bind_features


def group_of_one(features: int, eps: float = 1e-5) -> nn.Module:
    return nn.GroupNorm(1, features, eps)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"_target_": "torch.nn.GroupNorm", "num_groups": 2}, nn.GroupNorm(2, 6)),
        ({"_target_": "torch.nn.GroupNorm", "_args_": [3]}, nn.GroupNorm(3, 6)),
        ({"_target_": "torch.nn.LayerNorm", "eps": 0.5}, nn.LayerNorm(6, eps=0.5)),
        ({"_target_": "torch.nn.RMSNorm", "eps": None}, nn.RMSNorm(6)),
        ({"_target_": "torch.nn.InstanceNorm2d", "affine": True, "_partial_": True}, nn.InstanceNorm2d(6, affine=True)),
        ({"_target_": "torch.nn.LazyBatchNorm2d", "momentum": None}, nn.LazyBatchNorm2d(momentum=None)),
        ({"_target_": "torch.nn.LocalResponseNorm", "size": 2}, nn.LocalResponseNorm(2)),
        ({"_target_": "torch.nn.Identity"}, nn.Identity()),
        ({"_target_": f"{__name__}.group_of_one", "eps": 0.1}, nn.GroupNorm(1, 6, 0.1)),
    ],
    ids=lambda value: value["_target_"].rpartition(".")[2] if isinstance(value, dict) else "",
)
def test_the_number_of_features_reaches_the_parameter_that_means_it(settings: dict[str, Any], expected: Any) -> None:
    assert repr(bind_features(bind({"normalizer": settings}, "normalizer"))(6)) == repr(expected)


@pytest.mark.parametrize("name", ["GroupNorm1", "LayerNorm2d", "RmsNorm2d", "BatchNormAct2d"])
def test_the_same_holds_for_timm(name: str) -> None:
    layers = import_network_library("timm.layers")
    built = bind_features(bind({"normalizer": {"_target_": f"timm.layers.{name}"}}, "normalizer"))(6)
    assert repr(built) == repr(getattr(layers, name)(6))
    assert built(torch.randn(2, 6, 3, 3)).shape == (2, 6, 3, 3)


def test_a_setting_that_lacks_or_is_unknown_is_named_with_its_class() -> None:
    with pytest.raises(TypeError, match=r"GroupNorm.* 'num_groups'"):
        bind_features(partial(nn.GroupNorm))(6)
    unknown = {"_target_": "torch.nn.GroupNorm", "num_groups": 2, "colour": 1}
    with pytest.raises(TypeError, match=r"GroupNorm.* unexpected keyword argument 'colour'"):
        bind_features(bind({"normalizer": unknown}, "normalizer"))(6)


def test_a_shipped_normalizer_is_built_by_name_in_a_notebook() -> None:
    layer = normlab.normalizer("slim", 3, momentum=0.5)
    assert isinstance(layer, BatchNorm)
    assert (layer.num_features, layer.momentum, layer.eps, layer.weight) == (3, 0.5, 1e-3, None)
    assert layer(torch.randn(4, 3)).shape == (4, 3)
