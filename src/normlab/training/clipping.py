"""Clipping of gradients before the optimizer's step, for a single network or for each member of a population.

Weights and gradients have the members of a population along their first axis, of which a single network has one.
"""

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]
"""By the names of parameters, (members, …)."""

Clip = Callable[[Tensors, Tensors, Collection[str]], None]
"""Changes gradients in place; takes weights, gradients, and the names of the parameters of the output layer."""


class NormClip:
    """Scales the gradients of a network so that their global norm is at most a given one.

    As `torch.nn.utils.clip_grad_norm_` (Pascanu et al., 2013, arXiv:1211.5063, algorithm 1). Raises ValueError if
    max_norm is not above 0.
    """

    def __init__(self, max_norm: float = 1.0) -> None:
        self.max_norm = _check_positive("max_norm", max_norm)

    def __call__(self, weights: Tensors, gradients: Tensors, outputs: Collection[str]) -> None:
        by_parameter = [torch.linalg.vector_norm(each.reshape(len(each), -1), dim=1) for each in gradients.values()]
        norms = torch.linalg.vector_norm(torch.stack(by_parameter), dim=0)  # (members,)
        factors = (self.max_norm / (norms + 1e-6)).clamp(max=1.0)
        for gradient in gradients.values():
            gradient.mul_(factors.view(-1, *[1] * (gradient.ndim - 1)))


class AdaptiveClip:
    """Scales the gradient of each output unit so that its norm is at most factor · max(norm of its weights, eps).

    A unit is a row of a matrix or a filter of a convolution; a vector is one as a whole. The output layer is left
    alone. Source: Brock et al., 2021, arXiv:2102.06171, equation 3; as `timm.utils.agc.adaptive_clip_grad`.

    Args:
        factor: largest ratio of the norms.
        eps: smallest norm of weights to count with, so that those that start at 0 are trained.

    Raises ValueError if one of them is not above 0.
    """

    def __init__(self, factor: float = 0.01, eps: float = 1e-3) -> None:
        self.factor, self.eps = _check_positive("factor", factor), _check_positive("eps", eps)

    def __call__(self, weights: Tensors, gradients: Tensors, outputs: Collection[str]) -> None:
        for name, gradient in gradients.items():
            if name not in outputs:
                largest = self.factor * _unit_norm(weights[name]).clamp(min=self.eps)
                gradient.mul_((largest / _unit_norm(gradient)).clamp(max=1.0))


def _unit_norm(values: Tensor) -> Tensor:
    """Return the norm of each unit of each member, with axes of length 1 in place of those it is taken over."""
    if values.ndim == 1:
        return values.abs()
    axes = [*range(1 if values.ndim == 2 else 2, values.ndim)]
    norms: Tensor = torch.linalg.vector_norm(values, dim=axes, keepdim=True)
    return norms


def _check_positive(name: str, value: float) -> float:
    if not value > 0:
        raise ValueError(f"{name} must be above 0, got {value}")
    return value
