"""Small convolutional network: two convolutions with max-pooling, and a dense output layer."""

from collections.abc import Sequence

from torch import Tensor, nn

from normlab.models.layers import NormalizationPlace, NormalizerFactory, make_activation, make_convolution_block


class ConvNet(nn.Module):
    """Convolutions with SAME padding, each followed by activation and 2×2 max-pooling, then a dense layer.

    Args:
        input_shape: (C, H, W) of one image.
        num_classes: number of outputs.
        normalizer: factory of the normalizer after each convolution.
        channels: output channels of the convolutions.
        kernel_sizes: side length of each kernel.
        activation: a name in `normlab.models.layers.ACTIVATIONS`.
        normalization_place: of each normalizer, "before" or "after" the activation.

    Raises:
        ValueError: channels and kernel_sizes differ in length or hold a number less than 1, poolings leave nothing of
            an image, or there is no such activation or place.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        normalizer: NormalizerFactory,
        channels: Sequence[int] = (6, 16),
        kernel_sizes: Sequence[int] = (3, 5),
        activation: str = "relu",
        normalization_place: NormalizationPlace = "before",
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
            stages += make_stage(inputs, outputs, kernel_size, normalizer, activation, normalization_place)
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


def make_stage(
    inputs: int,
    outputs: int,
    kernel_size: int,
    normalizer: NormalizerFactory,
    activation: str,
    place: NormalizationPlace,
) -> list[nn.Module]:
    """Return a block (N, inputs, H, W) → (N, outputs, H, W), and a module with 2×2 max-pooling.

    As in VALID padding, odd ends are dropped. ReLU right before the pooling follows it instead: the values and
    gradients are the same at a quarter of the work.
    """
    block = make_convolution_block(inputs, outputs, kernel_size, normalizer, activation, place=place)
    if place == "after" or activation != "relu" or isinstance(block.activation, nn.Identity):
        return [block, nn.Sequential(nn.MaxPool2d(2))]
    block.activation = nn.Identity()
    return [block, nn.Sequential(nn.MaxPool2d(2), make_activation(activation))]
