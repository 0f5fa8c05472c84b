"""Weights of linear maps as functions of other parameters: weight normalization and weight standardization."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from normlab.models.layers import list_linear_maps


class WeightNorm(nn.Module):
    """w = g · v / ‖v‖ for each output, g = ‖v‖ at start (Salimans and Kingma, 2016, arXiv:1602.07868, equation 2).

    The start leaves the weights as they are drawn; `torch.nn.utils.parametrizations.weight_norm` does the same.

    Args:
        output: also for the last linear map of a network.
    """

    def __init__(self, output: bool = True) -> None:
        super().__init__()
        self.output = output

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return g (outputs, 1, …) and v, of which `weight` (outputs, inputs, …) is made.

        Raises ValueError if all weights of an output are 0, which has no direction.
        """
        norm = _norm(weight)
        if bool((norm == 0).any()):
            raise ValueError("all weights of an output start at 0, which has no direction to normalize")
        return norm, weight

    def forward(self, g: Tensor, v: Tensor) -> Tensor:
        return v * (g / _norm(v))


class WeightStandardization(nn.Module):
    """(w − mean) / standard deviation for each output (Qiao et al., 2019, arXiv:1903.10520, equations 3 to 5).

    The defaults are those of the paper's code; timm's `StdConv2d` has eps 1e-6 inside the root of the biased variance.
    A normalizer has to follow the linear map, whose outputs are large otherwise.

    Args:
        eps: added to the deviation, or to the variance.
        unbiased: divide the sum of squares by n − 1 instead of n.
        eps_inside_root: add eps to the variance instead.
        output: also for the last linear map of a network.
    """

    def __init__(
        self, eps: float = 1e-5, unbiased: bool = True, eps_inside_root: bool = False, output: bool = False
    ) -> None:
        super().__init__()
        self.eps, self.unbiased, self.eps_inside_root, self.output = eps, unbiased, eps_inside_root, output

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the weights (outputs, inputs, …) as they are. Raises ValueError if an output has one alone."""
        check_fan_in(weight)
        return weight

    def forward(self, weight: Tensor) -> Tensor:
        variance, mean = torch.var_mean(weight, _inputs(weight), correction=int(self.unbiased), keepdim=True)
        deviation = (variance + self.eps).sqrt() if self.eps_inside_root else variance.sqrt() + self.eps
        return (weight - mean) / deviation


class ScaledWeightStandardization(nn.Module):
    """γ · gain · (w − mean) / (σ · √(fan in)) (Brock et al., 2021, arXiv:2101.08692, equation 3).

    σ² is the biased variance of an output's weights. `timm.layers.ScaledStdConv2d` computes the same.

    Args:
        gamma: gain of the activation: √(2 / (1 − 1/π)) for ReLU.
        gain: learn a factor for each output, 1 at start.
        eps: added to the variance.
        output: also for the last linear map of a network.
    """

    def __init__(
        self,
        gamma: float = math.sqrt(2 / (1 - 1 / math.pi)),
        gain: bool = True,
        eps: float = 1e-6,
        output: bool = False,
    ) -> None:
        super().__init__()
        self.gamma, self.gain, self.eps, self.output = gamma, gain, eps, output

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Return the weights (outputs, inputs, …) and gains. Raises ValueError if an output has one weight alone."""
        check_fan_in(weight)
        return (weight, torch.ones_like(_norm(weight))) if self.gain else (weight,)

    def forward(self, weight: Tensor, *gains: Tensor) -> Tensor:
        variance, mean = torch.var_mean(weight, _inputs(weight), correction=0, keepdim=True)
        scale = self.gamma * (weight[0].numel() * (variance + self.eps)).rsqrt()
        for gain in gains:
            scale = scale * gain
        return (weight - mean) * scale


def reparametrize(network: nn.Module, make_reparametrization: Callable[[], nn.Module]) -> None:
    """Make the weights of the linear maps of a network functions of other parameters.

    Args:
        network: with initial weights; those of each `torch.nn.Linear` and `Conv2d` are reparametrized.
        make_reparametrization: returns a module as `torch.nn.utils.parametrize` takes one, which excludes the last
            linear map if its attribute `output` is false; `torch.nn.Identity` for none.

    Raises:
        ValueError: naming the weight, if its values do not allow it.
    """
    if type(make_reparametrization()) is nn.Identity:
        return
    layers = list_linear_maps(network)
    for name, layer in layers if getattr(make_reparametrization(), "output", True) else layers[:-1]:
        try:
            parametrize.register_parametrization(layer, "weight", make_reparametrization())
        except ValueError as error:
            raise ValueError(f"{name}.weight: {error}; choose reparametrization=none or another model") from error


def check_fan_in(weight: Tensor) -> None:
    """Raise ValueError if weights (outputs, inputs, …) have one value per output, which standardizes to 0."""
    if weight[0].numel() == 1:
        raise ValueError("a weight per output has no standard deviation")


def _inputs(weight: Tensor) -> tuple[int, ...]:
    return tuple(range(1, weight.ndim))


def _norm(weight: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(weight, dim=_inputs(weight), keepdim=True)
    return norm
