"""Deep, narrow network that hardly trains without normalization: 19 convolutions of 4, 8, …, 76 channels."""

from torch import Tensor, nn

from normlab.models.layers import (
    NormalizationPlace,
    NormalizerFactory,
    make_convolution_block,
    make_dense_block,
)


class DeepCNN(nn.Module):
    """3×3 convolutions with SAME padding, every third with stride 2, then two dense layers.

    28×28 images shrink 28 → 14 → 7 → 4 → 2 → 1 → 1. The output layer is never normalized.

    Args:
        input_shape: (C, H, W) of one image.
        num_classes: number of outputs.
        normalizer: factory of the normalizer after each convolution and the first dense layer.
        depth: number of convolutions.
        width: convolution i = 1, …, depth has width · i output channels.
        dense: width of the first dense layer.
        activation: a name in `normlab.models.layers.ACTIVATIONS`.
        normalization_place: of each normalizer, "before" or "after" the activation.

    Raises:
        ValueError: depth, width or dense is less than 1, or there is no such activation or place.
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
        normalization_place: NormalizationPlace = "before",
    ) -> None:
        super().__init__()
        if min(depth, width, dense) < 1:
            raise ValueError(f"depth, width and dense must be at least 1, got {depth}, {width} and {dense}")
        channels, height, image_width = input_shape
        blocks = []
        for i in range(1, depth + 1):
            stride = 2 if i % 3 == 0 else 1
            blocks.append(
                make_convolution_block(channels, width * i, 3, normalizer, activation, stride, normalization_place)
            )
            channels, height, image_width = width * i, -(-height // stride), -(-image_width // stride)
        self.convolutions = nn.Sequential(*blocks)
        self.flatten = nn.Flatten()
        self.dense = make_dense_block(
            channels * height * image_width, dense, normalizer, activation, normalization_place
        )
        self.output = nn.Linear(dense, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        logits: Tensor = self.output(self.dense(self.flatten(self.convolutions(images))))
        return logits
