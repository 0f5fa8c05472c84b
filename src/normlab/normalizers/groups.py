"""Statistics of one example over groups of its channels: how many groups there are, and PyTorch's kernel for them."""

import torch
from torch import Tensor
from torch.nn import functional


def resolve_groups(num_features: int, channels_per_group: int, groups: int | None) -> int:
    """Return the number of groups of channels.

    Args:
        num_features: number of channels C.
        channels_per_group: size of a group; not used if `groups` is given.
        groups: number of groups.

    Raises:
        ValueError: the number given does not divide the number of channels.
    """
    key, number = ("channels_per_group", channels_per_group) if groups is None else ("groups", groups)
    if number not in _list_divisors(num_features):
        raise ValueError(
            f"normalizer.{key} must divide the {num_features} channels of a layer, got {number}:"
            f" set it to {_join(_list_divisors(num_features))}"
        )
    return num_features // number if groups is None else groups


def check_groups(inputs: Tensor, groups: int) -> None:
    """Raise ValueError if groups of inputs (N, C, …) have one or two values."""
    channels, positions = inputs.shape[1], inputs.shape[2:].numel()
    if channels // groups * positions < 3:
        fitting = [number for number in _list_divisors(channels) if channels // number * positions >= 3]
        remedy = f"set normalizer.groups to {_join(fitting)}" if fitting else "use more features"
        check_values(inputs, channels // groups * positions, least=3, remedy=remedy)


def check_values(inputs: Tensor, values: int, least: int, remedy: str) -> None:
    """Raise ValueError if statistics are taken over fewer than `least` values.

    A value minus its own mean is 0 whatever it is, two values are normalized to −1 and 1, and one divided by its own
    root mean square is a sign.
    """
    if values < least:
        raise ValueError(
            f"statistics of an input of shape {tuple(inputs.shape)} are over {values} value{'s' * (values != 1)},"
            f" too few to normalize with: {remedy}"
        )


def normalize_groups(inputs: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Normalize inputs (N, C, …) as `torch.nn.functional.group_norm` does; the memory format is kept.

    With positions on one axis, PyTorch does not use its CPU kernel for channels-last feature maps. That one computes
    variances as E[x²] − E[x]², which costs two digits where the mean is 10 standard deviations and all where it is
    1000, ends the process with a segmentation fault in the backward pass if the gradient of the inputs is not needed,
    is slower for more than one group, and has no rule for vmap (PyTorch 2.13).
    """
    weight = fill_weight(weight, bias)
    if not is_channels_last(inputs):
        return functional.group_norm(inputs, groups, weight, bias, eps)
    return restore_shape(functional.group_norm(inputs.flatten(2), groups, weight, bias, eps), inputs)


def fill_weight(weight: Tensor | None, bias: Tensor | None) -> Tensor | None:
    """Return ones in place of a weight that is left out beside a bias.

    For a bias alone `group_norm` has no gradient, and `layer_norm` none in half precision (PyTorch 2.13).
    """
    return torch.ones_like(bias) if weight is None and bias is not None else weight


def restore_shape(outputs: Tensor, inputs: Tensor) -> Tensor:
    """Return outputs (N, C, positions) in the shape and memory format of inputs (N, C, …)."""
    outputs = outputs.reshape(inputs.shape)
    return outputs.movedim(1, -1).contiguous().movedim(-1, 1) if is_channels_last(inputs) else outputs


def is_channels_last(inputs: Tensor) -> bool:
    """Return whether inputs are feature maps (N, C, H, W) with the channels of a position side by side."""
    return inputs.ndim == 4 and inputs.stride(1) == 1


def _list_divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


def _join(numbers: list[int]) -> str:
    *others, last = map(str, numbers)
    return f"{', '.join(others)} or {last}" if others else last
