"""The contract of a normalizer, and the normalizers that ship, one file per family."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from torch import Tensor, nn

from normlab.normalizers.batch_norm import BatchNorm
from normlab.normalizers.batch_renorm import BatchRenorm
from normlab.normalizers.batch_statistics import BatchStatisticsNormalizer
from normlab.normalizers.evonorm import EvoNormS0
from normlab.normalizers.evonorm_b0 import EvoNormB0
from normlab.normalizers.filter_response import FilterResponseNorm
from normlab.normalizers.formula import BatchNormByFormula
from normlab.normalizers.ghost_batch import GhostBatchNorm
from normlab.normalizers.lp_batch import LpBatchNorm
from normlab.normalizers.mean_only_batch import MeanOnlyBatchNorm
from normlab.normalizers.noisy_batch import NoisyBatchNorm
from normlab.normalizers.per_example import GroupNorm, InstanceNorm, LayerNorm
from normlab.normalizers.pointwise import DynamicErf, DynamicTanh
from normlab.normalizers.rms_norm import RMSNorm
from normlab.normalizers.switchable import SwitchableNorm
from normlab.normalizers.synchronized import get_statistics_batch, synchronize

__all__ = [
    "BatchNorm",
    "BatchNormByFormula",
    "BatchRenorm",
    "BatchStatisticsNormalizer",
    "DynamicErf",
    "DynamicTanh",
    "EvoNormB0",
    "EvoNormS0",
    "FilterResponseNorm",
    "GhostBatchNorm",
    "GroupNorm",
    "InstanceNorm",
    "LayerNorm",
    "LpBatchNorm",
    "MeanOnlyBatchNorm",
    "NoisyBatchNorm",
    "Normalizer",
    "RMSNorm",
    "SwitchableNorm",
    "bind_features",
    "get_statistics_batch",
    "synchronize",
]

FEATURE_COUNTS = ("num_features", "num_channels", "normalized_shape", "channels", "dim")
"""Parameters that take the number of features in torch.nn and timm, wherever they come in a signature."""


class Normalizer(Protocol):
    """A layer that a network normalizes with: any `torch.nn.Module`, named by `_target_` in a YAML file.

    It is built with its number of features C (see `bind_features`) and the other keys of the file.

    Inputs are (N, C), (N, C, L) or (N, C, H, W), with channels on axis 1, and outputs have their shape; a model of
    tokens passes (N · T, C), each token an example. A normalizer may support some of these ranks only, and raises
    ValueError for others. `train()` and `eval()` switch between the statistics of the batch and running ones.

    State belongs in parameters, buffers or `get_extra_state`, as tensors or plain data: these are checked, kept in
    checkpoints and restored. Lazy parameters are materialized before training.

    Optional attributes:
        includes_activation: True if the normalizer applies a nonlinearity of its own, which replaces the network's.
        linear_bias: False if the normalizer cancels a bias of the linear map before it, which then has none.
        running_mean, running_var: tensors (C,) of running averages, of which either may be missing; their lag is
            measured with `eps` added to the variance (default: 1e-5). An average of another scale has another name.
        statistics_batch: number of examples that its statistics are taken from, if that can be less than a batch. A
            larger batch must be a multiple of it.
        synchronized: set to True by `synchronize` if one batch is shared by several processes; the normalizer then
            takes its statistics over all of them (see `normlab.processes.collectives`). One without this attribute
            takes those of its process's part, and the record of a run says so.
        reset_parameters: draws initial values from torch's global generator, which is seeded for the module by run
            seed and module name. Without it initial values must be constants, or runs with one seed are not paired.
        draw_parameters: the same from a generator per parameter; takes a function from a parameter's name to it.
    """

    def __call__(self, inputs: Tensor) -> Tensor: ...


def bind_features(build: "partial[Any]") -> Callable[[int], nn.Module]:
    """Return a factory that passes a number of features to the parameter of a class or function that means it.

    That is the first parameter named in `FEATURE_COUNTS` that is not bound yet, or else the first one that is neither
    bound nor has a default. Without either, as in `torch.nn.LazyBatchNorm2d`, the number is not passed.

    Args:
        build: the class or function with its other settings bound.
    """
    try:
        parameters = inspect.signature(build.func).parameters  # that of `build` fails if a setting is unknown
    except (TypeError, ValueError):  # written in C
        return build
    rest = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    unbound = [name for name in [*parameters][len(build.args) :] if name not in build.keywords]
    free = [name for name in unbound if parameters[name].kind not in rest]
    required = [name for name in free if parameters[name].default is inspect.Parameter.empty]
    name = next((name for name in [*FEATURE_COUNTS, *required] if name in free), None)
    if name is None:
        return lambda num_features: build()
    if parameters[name].kind is inspect.Parameter.POSITIONAL_ONLY:
        return build
    return lambda num_features: build(**{name: num_features})
