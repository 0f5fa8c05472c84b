"""Vision transformer (ViT) for small images."""

from torch import Tensor, nn

from normlab.models.layers import NormalizerFactory
from normlab.models.transformer import Embedding, Placement, Transformer


class ViT(nn.Module):
    """Vision transformer (Dosovitskiy et al., 2020, arXiv:2010.11929, section 3.1) without a class token.

    Patches of the image are mapped to tokens, and the mean of the tokens behind the last block to logits. The mean
    instead of a class token (appendix D.3 finds both alike) leaves the normalizers nothing but patches, so that
    statistics over tokens mix no tokens of two kinds. No dropout.

    Args:
        input_shape: (C, H, W) of one image.
        num_classes: number of outputs.
        normalizer, dim, depth, heads, mlp_ratio, placement, activation: see `normlab.models.transformer.Transformer`.
        patch: side length of the square patches, which divides H and W.

    Raises:
        ValueError: patch does not divide H and W, and what `Transformer` raises.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        normalizer: NormalizerFactory,
        patch: int = 4,
        dim: int = 64,
        depth: int = 6,
        heads: int = 4,
        mlp_ratio: float = 4.0,
        placement: Placement = "pre",
        activation: str = "gelu",
    ) -> None:
        super().__init__()
        channels, height, width = input_shape
        divisors = [size for size in range(1, min(height, width) + 1) if height % size == width % size == 0]
        if patch not in divisors:
            raise ValueError(
                f"patch={patch} must divide height and width of an image, here {height}×{width}: choose one of"
                f" {', '.join(map(str, divisors))}"
            )
        transformer = Transformer(dim, depth, heads, mlp_ratio, normalizer, placement, activation, causal=False)
        self.patch = patch
        self.embedding = nn.Linear(channels * patch**2, dim)
        self.positions = Embedding(height * width // patch**2, dim)
        self.transformer = transformer
        self.output = nn.Linear(dim, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        size = self.patch
        patches = images.unfold(2, size, size).unfold(3, size, size)  # (N, C, rows, columns, size, size)
        patches = patches.permute(0, 2, 3, 1, 4, 5).flatten(start_dim=3).flatten(1, 2)  # (N, T, C · size²)
        tokens = self.transformer(self.embedding(patches) + self.positions.weight)
        logits: Tensor = self.output(tokens.mean(dim=1))
        return logits
