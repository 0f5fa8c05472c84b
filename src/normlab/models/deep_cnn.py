"""The deep, narrow network that hardly trains without normalization: 19 convolutions of 4, 8, …, 76 channels."""

from torch import Tensor, nn

from normlab.models.layers import NormalizerFactory, convolution_block, dense_block


class DeepCNN(nn.Module):
    """Convolutions 1, 2, …, depth of 3×3 with SAME padding; every third halves the image; then two dense layers.

    On 28×28 images the sizes run 28 → 14 → 7 → 4 → 2 → 1 → 1. The output layer is never normalized.

    Args:
        input_shape: (C, H, W) of one image.
        num_classes: outputs.
        normalizer: factory of the normalizer behind each convolution and the first dense layer.
        depth: number of convolutions.
        width: convolution i has width · i output channels.
        dense: outputs of the first dense layer.
        activation: a name in `normlab.models.layers.ACTIVATIONS`.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        normalizer: NormalizerFactory,
        depth: int = 19,
        width: int = 4,
        dense: int = 100,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if min(depth, width, dense) < 1:
            raise ValueError(f"depth, width and dense must be at least 1, got {depth}, {width} and {dense}")
        channels, height, image_width = input_shape
        blocks = []
        for i in range(1, depth + 1):
            stride = 2 if i % 3 == 0 else 1
            blocks.append(convolution_block(channels, width * i, 3, normalizer, activation, stride))
            channels, height, image_width = width * i, -(-height // stride), -(-image_width // stride)
        self.convolutions = nn.Sequential(*blocks)
        self.flatten = nn.Flatten()
        self.dense = dense_block(channels * height * image_width, dense, normalizer, activation)
        self.output = nn.Linear(dense, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        logits: Tensor = self.output(self.dense(self.flatten(self.convolutions(images))))
        return logits
