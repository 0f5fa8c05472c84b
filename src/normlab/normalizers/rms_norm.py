"""Root mean square normalization: layer normalization without centring."""

import torch
from torch import Tensor
from torch.nn import functional

from normlab.normalizers.affine import AffineNormalizer, broadcast, check_eps, widen
from normlab.normalizers.groups import check_values


class RMSNorm(AffineNormalizer):
    """RMS normalization (Zhang and Sennrich, 2019, arXiv:1910.07467, equation 4): γ · x / √(mean x² + eps).

    With `per_position` it matches `torch.nn.RMSNorm(C)` with channels on the last axis; for inputs (N, C) always.

    Args:
        num_features: number of channels C.
        per_position: divide each position by the RMS of its channels, not each example by that of channels and
            positions.
        eps: added to the mean square before the root. LLaMA, Keras, Flax and timm have 1e-6, torch the epsilon of
            float32, 1.2e-7. The authors' code adds 1e-8 after the root.
        scale, shift: multiply by a learned factor and add a learned term for each channel; the paper has no shift.
        initial_scale, initial_shift: initial values of scale and shift, see `AffineNormalizer`.

    Raises:
        ValueError: an example, or a position, has one value (then nothing but its sign is left), or an input has the
            wrong rank or channel count.
    """

    def __init__(
        self,
        num_features: int,
        per_position: bool = False,
        eps: float = 1e-6,
        scale: bool = True,
        shift: bool = False,
        initial_scale: float = 1.0,
        initial_shift: float = 0.0,
    ) -> None:
        super().__init__(num_features, scale, shift, initial_scale, initial_shift)
        self.per_position = per_position
        self.eps = check_eps(eps)

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalize inputs (N, C), (N, C, L) or (N, C, H, W); the output has their shape."""
        self.check_shape(inputs)
        values = self.num_features if self.per_position else inputs.shape[1:].numel()
        remedy = "use normalizer=rms, which spans positions" if self.per_position else "use more features"
        check_values(inputs, values, least=2, remedy=remedy)
        x = widen(inputs)
        if x.ndim == 2:
            outputs = functional.rms_norm(x, (self.num_features,), self.weight, self.eps)
        elif self.per_position:
            channels_last = x.movedim(1, -1)
            outputs = functional.rms_norm(channels_last, (self.num_features,), self.weight, self.eps).movedim(-1, 1)
        else:
            factor = torch.rsqrt(x.square().mean(tuple(range(1, x.ndim)), keepdim=True) + self.eps)
            # The product in brackets is small.
            outputs = x * (factor if self.weight is None else factor * broadcast(self.weight, x))
        if self.bias is not None:
            outputs = outputs + broadcast(self.bias, x)
        return outputs.to(inputs.dtype)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, per_position={self.per_position}, eps={self.eps}"
