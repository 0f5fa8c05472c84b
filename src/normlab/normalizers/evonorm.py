"""EvoNorm-S0, a layer of normalization and activation found by search, with statistics of each example."""

import torch
from torch import Tensor, nn

from normlab.normalizers.affine import AffineNormalizer, check_eps, merge_positions, widen
from normlab.normalizers.groups import check_groups, resolve_groups, restore_shape


class EvoNormS0(AffineNormalizer):
    """EvoNorm-S0 (Liu et al., 2020, arXiv:2004.02967): γ · x · σ(v · x) / √(var_group + eps) + β.

    Variances are biased and over groups of channels and all positions of an example, as in `GroupNorm`. The learned
    `v` of each channel starts at 1. Matches `timm.layers.EvoNorm2dS0`.

    Args:
        num_features: number of channels C.
        channels_per_group: size of a group, which fits layers of different widths.
        groups: number of groups, in place of `channels_per_group`. timm has 32.
        eps: added to the variance before the square root. timm has 1e-5.
        scale, shift: multiply by a learned factor γ and add a learned term β for each channel.
        initial_scale, initial_shift: initial values of scale and shift, see `AffineNormalizer`.

    Raises:
        ValueError: the number of groups or their size does not divide C, groups of an input have one or two
            values, whose variance is or may be next to 0, or an input has the wrong rank or channel count.
    """

    includes_activation = True

    def __init__(
        self,
        num_features: int,
        channels_per_group: int = 2,
        groups: int | None = None,
        eps: float = 1e-5,
        scale: bool = True,
        shift: bool = True,
        initial_scale: float = 1.0,
        initial_shift: float = 0.0,
    ) -> None:
        super().__init__(num_features, scale, shift, initial_scale, initial_shift)
        self.groups = resolve_groups(num_features, channels_per_group, groups)
        self.eps = check_eps(eps)
        self.v = nn.Parameter(torch.ones(num_features))

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalize inputs (N, C), (N, C, L) or (N, C, H, W) and apply the activation; the output has their shape."""
        self.check_shape(inputs)
        check_groups(inputs, self.groups)
        x = merge_positions(widen(inputs)).contiguous()
        grouped = x.reshape(len(x), self.groups, x.shape[1:].numel() // self.groups)
        variance = (grouped - grouped.mean(-1, keepdim=True)).square().mean(-1)  # torch.var is slower
        factor = torch.rsqrt(variance + self.eps).repeat_interleave(self.num_features // self.groups, dim=1)
        if self.weight is not None:
            factor = factor * self.weight
        outputs = x * torch.sigmoid(self.v[:, None] * x) * factor[..., None]
        if self.bias is not None:
            outputs = outputs + self.bias[:, None]
        return restore_shape(outputs, inputs).to(inputs.dtype)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, groups={self.groups}, eps={self.eps}"
