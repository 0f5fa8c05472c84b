"""The multilayer perceptron: dense layers with one normalizer each, and a dense output layer without."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from normlab.models.layers import NormalizerFactory, dense_block


class MLP(nn.Module):
    """784 → 100 → 10 by default: the small net on which normalization changes the start, not the end.

    Args:
        input_shape: (C, H, W) of one image, flattened.
        num_classes: outputs.
        normalizer: factory of the normalizer behind each hidden layer.
        hidden: width of each hidden layer, from input to output; [] makes it linear.
        activation: a name in `normlab.models.layers.ACTIVATIONS`.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        normalizer: NormalizerFactory,
        hidden: Sequence[int] = (100,),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if any(width < 1 for width in hidden):
            raise ValueError(f"every width in hidden must be at least 1, got {list(hidden)}")
        widths = [math.prod(input_shape), *hidden]
        self.flatten = nn.Flatten()
        self.hidden = nn.Sequential(
            *(
                dense_block(inputs, outputs, normalizer, activation)
                for inputs, outputs in zip(widths, hidden, strict=False)
            )
        )
        self.output = nn.Linear(widths[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        logits: Tensor = self.output(self.hidden(self.flatten(images)))
        return logits
