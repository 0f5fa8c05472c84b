"""Multilayer perceptron (MLP): normalized dense layers and a dense output layer."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from normlab.models.layers import NormalizationPlace, NormalizerFactory, make_dense_block


class MLP(nn.Module):
    """Dense hidden layers, each normalized, and a dense output layer; 784 → 100 → 10 by default on MNIST.

    Args:
        input_shape: (C, H, W) of one image, which is flattened.
        num_classes: number of outputs.
        normalizer: factory of the normalizer of each hidden layer.
        hidden: width of each hidden layer; [] makes the network linear.
        activation: a name in `normlab.models.layers.ACTIVATIONS`.
        normalization_place: of each normalizer, "before" or "after" the activation.

    Raises:
        ValueError: a width is less than 1, or there is no such activation or place.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        normalizer: NormalizerFactory,
        hidden: Sequence[int] = (100,),
        activation: str = "relu",
        normalization_place: NormalizationPlace = "before",
    ) -> None:
        super().__init__()
        if any(width < 1 for width in hidden):
            raise ValueError(f"every width in hidden must be at least 1, got {list(hidden)}")
        widths = [math.prod(input_shape), *hidden]
        self.flatten = nn.Flatten()
        self.hidden = nn.Sequential(
            *(
                make_dense_block(inputs, outputs, normalizer, activation, normalization_place)
                for inputs, outputs in zip(widths, hidden, strict=False)
            )
        )
        self.output = nn.Linear(widths[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        logits: Tensor = self.output(self.hidden(self.flatten(images)))
        return logits
