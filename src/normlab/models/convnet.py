"""The small convolutional network: two convolutions with max-pooling, and a dense output layer."""

from collections.abc import Sequence

from torch import Tensor, nn

from normlab.models.layers import NormalizerFactory, activation_named, convolution_block


class ConvNet(nn.Module):
    """Convolutions of 3×3 and 5×5 with SAME padding, each activated and 2×2 max-pooled, then a dense layer.

    Args:
        input_shape: (C, H, W) of one image.
        num_classes: outputs.
        normalizer: factory of the normalizer behind each convolution.
        channels: output channels of the convolutions.
        kernel_sizes: side of each convolution's kernel.
        activation: a name in `normlab.models.layers.ACTIVATIONS`.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        normalizer: NormalizerFactory,
        channels: Sequence[int] = (6, 16),
        kernel_sizes: Sequence[int] = (3, 5),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if len(channels) != len(kernel_sizes):
            raise ValueError(
                f"channels and kernel_sizes must have one entry per convolution, got {len(channels)}"
                f" and {len(kernel_sizes)}"
            )
        if min(*channels, *kernel_sizes, 1) < 1:
            raise ValueError(f"channels and kernel_sizes must be at least 1, got {channels} and {kernel_sizes}")
        inputs, height, width = input_shape
        stages: list[nn.Module] = []
        for outputs, kernel_size in zip(channels, kernel_sizes, strict=True):
            stages += [
                convolution_block(inputs, outputs, kernel_size, normalizer, "identity"),
                activated_and_pooled(activation),
            ]
            inputs, height, width = outputs, height // 2, width // 2
        if height * width == 0:
            raise ValueError(f"{len(channels)} poolings leave nothing of an image of {input_shape[1:]}: use fewer")
        self.stages = nn.Sequential(*stages)
        self.flatten = nn.Flatten()
        self.output = nn.Linear(inputs * height * width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        logits: Tensor = self.output(self.flatten(self.stages(images)))
        return logits


def activated_and_pooled(activation: str) -> nn.Sequential:
    """Map (N, C, H, W) to (N, C, H // 2, W // 2): an odd last row or column is dropped, as VALID padding does.

    ReLU comes after the pooling, which gives the same values and gradients, and has a quarter of the work.
    """
    steps = [activation_named(activation), nn.MaxPool2d(2)]
    return nn.Sequential(*(reversed(steps) if activation == "relu" else steps))
