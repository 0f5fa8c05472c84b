"""Filter response normalization with its thresholded linear unit."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from normlab.normalizers.affine import AffineNormalizer, check_eps, merge_positions, widen
from normlab.normalizers.groups import check_values

INITIAL_LEARNED_EPS = 1e-4


class FilterResponseNorm(AffineNormalizer):
    """Filter response normalization (Singh and Krishnan, 2019, arXiv:1911.09737) with its activation.

    max(γ · x / √(mean x² + ε) + β, τ), with the mean over the positions of each channel of an example, and a learned
    `threshold` τ for each channel that starts at 0.

    Args:
        num_features: number of channels C.
        eps: ε, added to the mean square before the root. The paper has 1e-6, timm 1e-5.
        learnable_eps: ε = eps + |a| with a learned scalar a that starts at 1e-4, as the paper proposes for inputs with
            one position. With a small constant these would be divided by their own magnitudes.
        scale, shift: multiply by a learned factor γ and add a learned term β for each channel.
        initial_scale, initial_shift: initial values of scale and shift, see `AffineNormalizer`.

    Raises:
        ValueError: an input has one position, as (N, C) has, and ε is not learned, or an input has the wrong rank or
            channel count.
    """

    includes_activation = True

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-6,
        learnable_eps: bool = False,
        scale: bool = True,
        shift: bool = True,
        initial_scale: float = 1.0,
        initial_shift: float = 0.0,
    ) -> None:
        super().__init__(num_features, scale, shift, initial_scale, initial_shift)
        self.eps = check_eps(eps)
        self.learned_eps = nn.Parameter(torch.tensor(INITIAL_LEARNED_EPS)) if learnable_eps else None
        self.threshold = nn.Parameter(torch.zeros(num_features))

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalize inputs (N, C), (N, C, L) or (N, C, H, W) and apply the activation; the output has their shape."""
        self.check_shape(inputs)
        if self.learned_eps is None:
            check_values(inputs, inputs.shape[2:].numel(), least=2, remedy="set normalizer.learnable_eps to true")
        x = merge_positions(widen(inputs))
        eps = self.eps if self.learned_eps is None else self.eps + self.learned_eps.abs()
        factor = torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
        if self.weight is not None:
            factor = factor * self.weight[:, None]
        above = -self.threshold if self.bias is None else self.bias - self.threshold
        # max(y, τ) = relu(y − τ) + τ, as the paper notes; its backward pass is faster
        outputs = functional.relu(torch.addcmul(above[:, None], x, factor)) + self.threshold[:, None]
        return outputs.reshape(inputs.shape).to(inputs.dtype)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, eps={self.eps}, learnable_eps={self.learned_eps is not None}"
