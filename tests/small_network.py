"""A network with normalization layers of its own, as a user has one, for images of 10×10 pixels."""

from torch import Tensor, nn


class SmallNetwork(nn.Module):
    """Two convolutions, with batch and group normalization, and a layer over channels with layer normalization."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, stride=2)
        self.norm1 = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 8, 2)
        self.norm2 = nn.GroupNorm(2, 8)
        self.norm3 = nn.LayerNorm(8)
        self.mix = nn.Linear(8, 8)
        self.output = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 1, 10, 10) to (N, K)."""
        hidden = self.norm1(self.first(images)).tanh()
        tokens = self.norm2(self.second(hidden)).tanh().flatten(start_dim=2).transpose(1, 2)  # (N, T, 8)
        tokens = tokens + self.mix(self.norm3(tokens)).tanh()
        logits: Tensor = self.output(tokens.mean(dim=1))
        return logits
