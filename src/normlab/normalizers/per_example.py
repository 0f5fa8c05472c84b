"""Layer, group and instance normalization: mean and variance of each example alone, in training as in inference."""

from torch import Tensor
from torch.nn import functional

from normlab.normalizers.affine import AffineNormalizer, check_eps
from normlab.normalizers.groups import (
    check_groups,
    check_values,
    fill_weight,
    is_channels_last,
    normalize_groups,
    resolve_groups,
)


class GroupNorm(AffineNormalizer):
    """Group normalization (Wu and He, 2018, arXiv:1803.08494, equation 7); matches `torch.nn.GroupNorm`.

    Channels are split into groups of neighbours, each normalized over its channels and all positions of an example.

    Args:
        num_features: number of channels C.
        channels_per_group: size of a group, which fits layers of different widths.
        groups: number of groups, in place of `channels_per_group`. The paper has 32, Keras and Flax default to it.
        eps: added to the variance before the square root. torch and timm have 1e-5, Keras 1e-3, Flax 1e-6.
        scale, shift: multiply by a learned factor and add a learned term for each channel.
        initial_scale, initial_shift: initial values of scale and shift, see `AffineNormalizer`.

    Raises:
        ValueError: the number of groups or their size does not divide C, groups of an input have one or two values
            (then nothing but signs is left), or an input has the wrong rank or channel count.
    """

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

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalize inputs (N, C), (N, C, L) or (N, C, H, W); the output has their shape."""
        self.check_shape(inputs)
        check_groups(inputs, self.groups)
        return normalize_groups(inputs, self.groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, groups={self.groups}, eps={self.eps}"


class InstanceNorm(AffineNormalizer):
    """Instance normalization (Ulyanov et al., 2016, arXiv:1607.08022): each channel of an example over its positions.

    Matches `torch.nn.InstanceNorm1d` and `InstanceNorm2d` with `affine=True`, which is off by default there.

    Args:
        num_features: number of channels C.
        eps: added to the variance before the square root. torch has 1e-5, Flax 1e-6.
        scale, shift: multiply by a learned factor and add a learned term for each channel.
        initial_scale, initial_shift: initial values of scale and shift, see `AffineNormalizer`.

    Raises:
        ValueError: an input has one or two positions (then nothing but signs is left), as (N, C) has, or the wrong
            rank or channel count.
    """

    linear_bias = False

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        scale: bool = True,
        shift: bool = True,
        initial_scale: float = 1.0,
        initial_shift: float = 0.0,
    ) -> None:
        super().__init__(num_features, scale, shift, initial_scale, initial_shift)
        self.eps = check_eps(eps)

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalize inputs (N, C, L) or (N, C, H, W); the output has their shape."""
        self.check_shape(inputs)
        remedy = "use normalizer=layer or normalizer=group, whose statistics span channels"
        check_values(inputs, inputs.shape[2:].numel(), least=3, remedy=remedy)
        return normalize_groups(inputs, self.num_features, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, eps={self.eps}"


class LayerNorm(AffineNormalizer):
    """Layer normalization (Ba, Kiros and Hinton, 2016, arXiv:1607.06450, equation 3), with an affine map per channel.

    The layer over channels and positions matches `torch.nn.GroupNorm(1, C)`, as in Wu and He (2018); that of each
    position matches `torch.nn.LayerNorm(C)` with channels on the last axis, as in ConvNeXt and transformers. For inputs
    (N, C) both are `torch.nn.LayerNorm(C)`.

    Args:
        num_features: number of channels C.
        per_position: normalize each position over its channels, not each example over channels and positions.
        eps: added to the variance before the square root. torch has 1e-5, timm and Flax 1e-6, Keras 1e-3.
        scale, shift: multiply by a learned factor and add a learned term for each channel.
        initial_scale, initial_shift: initial values of scale and shift, see `AffineNormalizer`.

    Raises:
        ValueError: an example, or a position, has one or two values (then nothing but signs is left), or an input has
            the wrong rank or channel count.
    """

    def __init__(
        self,
        num_features: int,
        per_position: bool = False,
        eps: float = 1e-5,
        scale: bool = True,
        shift: bool = True,
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
        remedy = "use normalizer=layer, which spans positions" if self.per_position else "use more features"
        check_values(inputs, values, least=3, remedy=remedy)
        weight, bias = fill_weight(self.weight, self.bias), self.bias
        if inputs.ndim == 2:
            return functional.layer_norm(inputs, (self.num_features,), weight, bias, self.eps)
        if self.per_position:
            channels_last = inputs.movedim(1, -1)
            return functional.layer_norm(channels_last, (self.num_features,), weight, bias, self.eps).movedim(-1, 1)
        if is_channels_last(inputs):  # see `normalize_groups` for why not `group_norm`; this saves its copy
            maps = inputs.permute(0, 2, 3, 1)
            shape = maps.shape[1:]
            weights, biases = (part if part is None else part.expand(shape) for part in (weight, bias))
            return functional.layer_norm(maps, shape, weights, biases, self.eps).permute(0, 3, 1, 2)
        return normalize_groups(inputs, 1, weight, bias, self.eps)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, per_position={self.per_position}, eps={self.eps}"
