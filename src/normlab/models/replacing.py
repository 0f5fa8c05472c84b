"""Replace the normalization layers of a network by a normalizer."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from normlab.models.layers import NormalizerFactory

NORMALIZATION = re.compile("(Batch|Layer|Group|Instance|RMS|Rms|Simple)Norm")
"""In the name of a class or of one of its bases: those of torch.nn, torchvision, timm and many others."""
OVER_LAST_AXIS = re.compile("(Layer|RMS|Rms|Simple)Norm")
"""The same, if channels are on the last axis; with 1d, 2d or 3d in its name a class has them on axis 1."""
STARTS = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}
"""Tensors that a normalizer takes over, unless they still have the value that they start with."""


class Replaced(nn.Module):
    """A normalizer in the place of another layer, followed by the submodules of that, such as timm's activation.

    Args:
        layer: the one replaced. If it normalizes over the last axis, inputs (N, …, C) are passed on as (N · …, C).
        normalizer: for its number of features.
    """

    def __init__(self, layer: nn.Module, normalizer: nn.Module) -> None:
        super().__init__()
        self.normalizer = normalizer
        self.rest = nn.Sequential(*layer.children())
        self.over_last_axis = _is_named(layer, OVER_LAST_AXIS) and not re.search("[123]d", type(layer).__name__)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.over_last_axis:
            normalized = self.normalizer(inputs.flatten(end_dim=-2)).unflatten(0, inputs.shape[:-1])
        else:
            normalized = self.normalizer(inputs)
        outputs: Tensor = self.rest(normalized)
        return outputs


def replace_normalizations(
    network: nn.Module, normalizer: NormalizerFactory, classes: Sequence[str] = (), takes_over: bool = True
) -> dict[str, str]:
    """Replace the normalization layers in a network.

    Args:
        network: changed in place; a layer at several places has one successor there.
        normalizer: from a number of features to a layer.
        classes: names of the classes to replace; none for all whose name says that they normalize.
        takes_over: copy scale, shift and running averages that have left their start (trained ones, and scales that
            start at 0) to tensors of the same name and shape.

    Returns:
        Name of each layer replaced → its class and that of the normalizer, such as BatchNorm2d → GroupNorm; and of each
        that seems to normalize and stays, since its number of features does not show → that it is kept.

    Raises:
        ValueError: there is nothing to replace or no layer of one of the classes; the normalizer refuses a number of
            features, or includes an activation, which would come on top of the network's own.
    """
    layers = [*network.named_modules(remove_duplicate=False)][1:]
    present = sorted({type(layer).__name__ for _, layer in layers})
    if unknown := [name for name in classes if name not in present]:
        raise ValueError(f"replace names {', '.join(unknown)}: choose among {', '.join(present)}")
    changes: dict[str, str] = {}
    successors: dict[nn.Module, Replaced] = {}
    for name, layer in layers:
        class_name = type(layer).__name__
        wanted = class_name in classes if classes else _is_named(layer, NORMALIZATION)
        features = _count_features(layer) if wanted else None
        if features is not None:
            if layer not in successors:
                successors[layer] = Replaced(layer, _build(normalizer, features, name))
                if takes_over:
                    _take_over(layer, successors[layer].normalizer)
            network.set_submodule(name, successors[layer])
            changes[name] = f"{class_name} → {type(successors[layer].normalizer).__name__}"
        elif wanted if classes else "Norm" in class_name and not [*layer.children()]:
            changes[name] = f"{name} ({class_name}) kept"
    if not successors:
        raise ValueError(
            "there is no normalization layer that can be replaced: name classes that normalize in model.replace, among"
            f" {', '.join(present)}"
        )
    return changes


def _is_named(layer: nn.Module, pattern: re.Pattern[str]) -> bool:
    return any(pattern.search(base.__name__) for base in type(layer).__mro__)


def _count_features(layer: nn.Module) -> int | None:
    """Return the number of features of a layer; None if it normalizes over several axes or is lazy."""
    weight = getattr(layer, "weight", None)
    shapes = [getattr(layer, name, None) for name in ("num_features", "num_channels", "normalized_shape")]
    shapes += [tuple(weight.shape)] if isinstance(weight, Tensor) and not is_lazy(weight) else []
    shape = next((shape for shape in shapes if shape), ())
    counts = (shape,) if isinstance(shape, int) else tuple(shape)
    return counts[0] if len(counts) == 1 else None


def _build(normalizer: NormalizerFactory, features: int, name: str) -> nn.Module:
    try:
        built = normalizer(features)
    except ValueError as error:
        raise ValueError(f"{name} has {features} features: {error}") from error
    if getattr(built, "includes_activation", False):
        raise ValueError(
            f"{type(built).__name__} includes an activation, and an imported network keeps its own: choose a normalizer"
            " without one"
        )
    return built


@torch.no_grad()
def _take_over(layer: nn.Module, normalizer: nn.Module) -> None:
    for name, start in STARTS.items():
        old, new = getattr(layer, name, None), getattr(normalizer, name, None)
        if not (isinstance(old, Tensor) and isinstance(new, Tensor)) or is_lazy(old) or is_lazy(new):
            continue
        if old.shape == new.shape and bool((old != start).any()):
            new.copy_(old)
            setattr(normalizer, "keeps_values", True)  # noqa: B010  # nn.Module's type hides plain attributes
