"""A convolutional network that names its own normalization layers."""

from torch import Tensor, nn


class SmallNet(nn.Module):
    """Two convolutions with batch normalization, then logits.

    Args:
        num_classes: K.
        width: channels of the first convolution.
    """

    def __init__(self, num_classes: int, width: int = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(inplace=True),
        )
        self.logits = nn.Linear(2 * width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 1, H, W) to logits (N, K)."""
        logits: Tensor = self.logits(self.features(images).mean((2, 3)))
        return logits
