"""Bounded functions of each value in place of normalization, without statistics."""

import torch
from torch import Tensor, nn

from normlab.normalizers.affine import AffineNormalizer, widen


class DynamicTanh(AffineNormalizer):
    """Dynamic tanh, DyT (Zhu et al., 2025, arXiv:2503.10622): γ · tanh(α · x) + β.

    Args:
        num_features: number of channels C.
        initial_alpha: initial value of the learned scalar α. The paper has 0.5, and smaller ones in language models.
        scale, shift: multiply by a learned factor γ and add a learned term β for each channel.
        initial_scale, initial_shift: initial values of scale and shift, see `AffineNormalizer`.

    Raises:
        ValueError: an input has the wrong rank or channel count.
    """

    def __init__(
        self,
        num_features: int,
        initial_alpha: float = 0.5,
        scale: bool = True,
        shift: bool = True,
        initial_scale: float = 1.0,
        initial_shift: float = 0.0,
    ) -> None:
        super().__init__(num_features, scale, shift, initial_scale, initial_shift)
        self.alpha = nn.Parameter(torch.tensor(float(initial_alpha)))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs (N, C), (N, C, L) or (N, C, H, W) to outputs of their shape."""
        self.check_shape(inputs)
        return self.scale_and_shift(self.squash(widen(inputs))).to(inputs.dtype)

    def squash(self, x: Tensor) -> Tensor:
        return torch.tanh(self.alpha * x)


class DynamicErf(DynamicTanh):
    """Dynamic erf, Derf (Chen et al., 2025, arXiv:2512.10938, equation 10): γ · erf(α · x + s) + β.

    Args:
        num_features: number of channels C.
        initial_alpha: initial value of the learned scalar α.
        initial_offset: initial value of the learned scalar `offset` s.
        scale, shift, initial_scale, initial_shift: see `DynamicTanh`.

    Raises:
        ValueError: an input has the wrong rank or channel count.
    """

    def __init__(
        self,
        num_features: int,
        initial_alpha: float = 0.5,
        initial_offset: float = 0.0,
        scale: bool = True,
        shift: bool = True,
        initial_scale: float = 1.0,
        initial_shift: float = 0.0,
    ) -> None:
        super().__init__(num_features, initial_alpha, scale, shift, initial_scale, initial_shift)
        self.offset = nn.Parameter(torch.tensor(float(initial_offset)))

    def squash(self, x: Tensor) -> Tensor:
        return torch.erf(self.alpha * x + self.offset)
