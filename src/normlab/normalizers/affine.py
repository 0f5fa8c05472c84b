"""Learned scale and shift of each feature, and the checks of inputs that normalizers share."""

import torch
from torch import Tensor, nn


class AffineNormalizer(nn.Module):
    """Base of normalizers with a learned scale `weight` (gamma) and shift `bias` (beta) for each feature.

    Args:
        num_features: number of channels C.
        scale: multiply by a learned factor.
        shift: add a learned term.
        initial_scale: initial value of the scale; recurrent networks need a small one (Cooijmans et al., 2016,
            arXiv:1603.09025, section 3.1: 0.1).
        initial_shift: initial value of the shift.

    Raises:
        ValueError: there are no features.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(
        self,
        num_features: int,
        scale: bool = True,
        shift: bool = True,
        initial_scale: float = 1.0,
        initial_shift: float = 0.0,
    ) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"num_features must be at least 1, got {num_features}")
        self.num_features = num_features
        self.weight = nn.Parameter(torch.full((num_features,), float(initial_scale))) if scale else None
        self.bias = nn.Parameter(torch.full((num_features,), float(initial_shift))) if shift else None

    def scale_and_shift(self, x_hat: Tensor) -> Tensor:
        """Return γ · x̂ + β for normalized inputs (N, C, …)."""
        if self.weight is not None:
            x_hat = x_hat * broadcast(self.weight, x_hat)
        return x_hat if self.bias is None else x_hat + broadcast(self.bias, x_hat)

    def check_shape(self, inputs: Tensor) -> None:
        """Raise ValueError unless inputs are (N, C), (N, C, L) or (N, C, H, W)."""
        shape = inputs.shape
        if not 2 <= len(shape) <= 4:
            raise ValueError(
                f"expected an input (N, C), (N, C, L) or (N, C, H, W), got shape {tuple(shape)}: reshape it to one of"
                " these"
            )
        if shape[1] != self.num_features:
            raise ValueError(
                f"expected {self.num_features} channels on axis 1, got {shape[1]} in shape {tuple(shape)}:"
                f" build the layer with num_features={shape[1]}"
            )

    def extra_repr(self) -> str:
        return f"{self.num_features}, scale={self.weight is not None}, shift={self.bias is not None}"


def broadcast(values: Tensor, inputs: Tensor) -> Tensor:
    """Reshape values (C,) to broadcast along axis 1 of inputs (N, C, …)."""
    return values if inputs.ndim == 2 else values.view(-1, *[1] * (inputs.ndim - 2))


def merge_positions(inputs: Tensor) -> Tensor:
    """Reshape inputs (N, C, …) to (N, C, positions), of which (N, C) has one; N may be 0."""
    return inputs.reshape(*inputs.shape[:2], inputs.shape[2:].numel())


def widen(inputs: Tensor) -> Tensor:
    """Convert half precision to float32; return inputs of other types as they are."""
    return inputs.to(torch.promote_types(inputs.dtype, torch.float32))


def check_eps(eps: float) -> float:
    """Return eps. Raises ValueError unless it is a finite number and not negative."""
    if not 0 <= eps < float("inf"):
        raise ValueError(f"eps must be a finite number and not negative, got {eps}")
    return eps
