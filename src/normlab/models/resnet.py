"""Residual network for small images, with the branches that train without normalization as well."""

import torch
from torch import Tensor, nn

from normlab.models.layers import NormalizationPlace, NormalizerFactory
from normlab.models.residual import Residual, ResidualBlock, make_centred_block


class ResNet(nn.Module):
    """Residual network of 3×3 convolutions for small images (He et al., 2015, arXiv:1512.03385, section 4.2).

    A first convolution, three stages of n blocks with width, 2 · width and 4 · width channels, the mean over
    positions, and a dense layer. The first blocks of the second and third stage have stride 2. Shortcuts have no
    parameters, see `ResidualBlock`. Outputs equal those of torchvision's `BasicBlock` with that shortcut.

    Args:
        input_shape: (C, H, W) of one image.
        num_classes: number of outputs.
        normalizer: factory of the normalizer after each convolution. One with `includes_activation` applies its own
            nonlinearity to the end of a branch too, in front of the sum, which is activated all the same.
        depth: layers with weights, 6n + 2.
        width: channels of the first stage.
        residual: "identity" for activation(x + f(x)); "none" for activation(f(x)), a network without shortcuts;
            "skipinit" for activation(x + a · f(x)) with a learned a that starts at 0 (De and Smith, 2020,
            arXiv:2002.10444; their networks activate before each convolution instead); "fixup" for Fixup (Zhang et
            al., 2019, arXiv:1901.09321, section 3.2): of each branch the first weights start divided by the square
            root of the number of branches and the last ones at zero, as does the dense layer; scalars replace the
            biases. Neither of the last two needs a normalizer.
        activation: a name in `normlab.models.layers.ACTIVATIONS`.
        normalization_place: of each normalizer, "before" or "after" the activation.

    Raises:
        ValueError: depth is not 6n + 2, width is less than 1, or there is no such residual, activation or place.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        normalizer: NormalizerFactory,
        depth: int = 20,
        width: int = 16,
        residual: Residual = "identity",
        activation: str = "relu",
        normalization_place: NormalizationPlace = "before",
    ) -> None:
        super().__init__()
        n, rest = divmod(depth - 2, 6)
        if rest or n < 1:
            nearest = f"{6 * n + 2} or {6 * n + 8}" if n >= 1 else "8 or more"
            raise ValueError(f"depth must be 6n + 2, got {depth}: choose {nearest}")
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        settings = normalizer, activation, normalization_place, residual
        self.first = make_centred_block(input_shape[0], width, *settings)
        blocks, channels = [], width
        for number in range(3 * n):
            stride = 2 if number in (n, 2 * n) else 1
            blocks.append(ResidualBlock(channels, stride * channels, *settings, stride, branches=3 * n))
            channels *= stride
        self.blocks = nn.Sequential(*blocks)
        self.output_shift = nn.Parameter(torch.zeros(())) if residual == "fixup" else None
        self.output = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        features: Tensor = self.blocks(self.first(images)).mean(dim=(2, 3))
        if self.output_shift is not None:
            features = features + self.output_shift
        logits: Tensor = self.output(features)
        return logits

    def reset_parameters(self) -> None:
        """Set the weights of Fixup's dense layer to zero."""
        if self.output_shift is not None:
            nn.init.zeros_(self.output.weight)
            nn.init.zeros_(self.output.bias)
