"""Transformer blocks (Vaswani et al., 2017, arXiv:1706.03762) with the normalizers where `placement` says."""

from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn import functional

from normlab.models.layers import NormalizerFactory, make_activation

Placement = Literal["pre", "post", "peri", "none"]


class Transformer(nn.Sequential):
    """Blocks of attention and a feed-forward network, which map tokens (N, T, C) to tokens (N, T, C).

    Args:
        dim: features C of a token.
        depth: number of blocks.
        heads: number of attention heads, which share the features equally.
        mlp_ratio: width of the hidden layer of each feed-forward network, in terms of dim.
        normalizer: factory of the normalizers, whose inputs are (N · T, C): each token is an example.
        placement: of normalizers around each sublayer f. "pre": x + f(norm(x)), and one after the last block (Xiong et
            al., 2020, arXiv:2002.04745). "post": norm(x + f(x)), the original. "peri": x + norm(f(norm(x))), and one
            after the last block (Kim et al., 2025, arXiv:2502.02732, without the optional one of the embeddings).
            "none": x + f(x), whatever the normalizer.
        activation: of the feed-forward networks, a name in `normlab.models.layers.ACTIVATIONS`.
        causal: let a token attend to itself and those before it alone.

    Raises:
        ValueError: a size is out of range, heads do not divide dim, there is no such placement or activation, or the
            normalizer includes an activation.
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        heads: int,
        mlp_ratio: float,
        normalizer: NormalizerFactory,
        placement: Placement,
        activation: str,
        causal: bool,
    ) -> None:
        hidden = round(mlp_ratio * dim)
        if min(dim, depth, heads, hidden) < 1:
            raise ValueError(
                f"dim, depth, heads and mlp_ratio · dim must be at least 1, got {dim}, {depth}, {heads} and {hidden}"
            )
        if dim % heads:
            divisors = ", ".join(str(count) for count in range(1, dim + 1) if dim % count == 0)
            raise ValueError(f"heads={heads} must divide dim={dim}: choose one of {divisors}, or another dim")
        if placement not in get_args(Placement):
            raise ValueError(f"placement must be one of {', '.join(get_args(Placement))}, got {placement!r}")
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers.append(Sublayer(Attention(dim, heads, causal), dim, normalizer, placement))
            feed_forward = nn.Sequential(nn.Linear(dim, hidden), make_activation(activation), nn.Linear(hidden, dim))
            layers.append(Sublayer(feed_forward, dim, normalizer, placement))
        if placement in ("pre", "peri"):
            layers.append(TokenNormalizer(dim, normalizer))
        super().__init__(*layers)


class TokenNormalizer(nn.Module):
    """Normalize tokens (N, T, C), each an example. Raises ValueError if the normalizer includes an activation."""

    def __init__(self, dim: int, normalizer: NormalizerFactory) -> None:
        super().__init__()
        self.normalizer = normalizer(dim)
        if getattr(self.normalizer, "includes_activation", False):
            raise ValueError(
                f"{type(self.normalizer).__name__} includes an activation, and none follows the normalizers of a"
                " transformer: choose another normalizer, or a network of convolutions or dense layers"
            )

    def forward(self, tokens: Tensor) -> Tensor:
        outputs: Tensor = self.normalizer(tokens.flatten(end_dim=1))
        return outputs.reshape(tokens.shape)


class Sublayer(nn.Module):
    """Residual connection around a layer f, with normalizers as `placement` of `Transformer` says."""

    def __init__(self, layer: nn.Module, dim: int, normalizer: NormalizerFactory, placement: Placement) -> None:
        super().__init__()
        self.before = TokenNormalizer(dim, normalizer) if placement in ("pre", "peri") else nn.Identity()
        self.layer = layer
        self.after = TokenNormalizer(dim, normalizer) if placement in ("post", "peri") else nn.Identity()
        self.normalizes_sum = placement == "post"

    def forward(self, tokens: Tensor) -> Tensor:
        branch = self.layer(self.before(tokens))
        outputs: Tensor = self.after(tokens + branch) if self.normalizes_sum else tokens + self.after(branch)
        return outputs


class Attention(nn.Module):
    """Scaled dot-product attention of several heads over tokens (N, T, C)."""

    def __init__(self, dim: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.queries_keys_values = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        projected = self.queries_keys_values(tokens).unflatten(-1, (3, self.heads, -1))  # (N, T, 3, heads, C / heads)
        queries, keys, values = projected.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(queries, keys, values, is_causal=self.causal)
        outputs: Tensor = self.output(mixed.transpose(1, 2).flatten(start_dim=2))
        return outputs


class Embedding(nn.Embedding):
    """Learned vectors that start from N(0, 0.02²), as those of BERT and ViT."""

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)
