"""A vision transformer and a language model written from the papers in plain PyTorch, against normlab's.

Vaswani et al., 2017, arXiv:1706.03762; Dosovitskiy et al., 2020, arXiv:2010.11929; Xiong et al., 2020,
arXiv:2002.04745; Kim et al., 2025, arXiv:2502.02732. Both sides make the same updates on the same batches, in turn; the
losses agree.

Command: python benchmarks/plain_transformer.py (about a minute on one core)
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from against_plain import compare
from plain_resnet import train
from torch import Tensor, nn
from torch.nn import functional

MakeNorm = Callable[[int], nn.Module]


class PlainAttention(nn.Module):
    def __init__(self, dim: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        n, t, dim = x.shape
        q, k, v = (part.view(n, t, self.heads, dim // self.heads) for part in self.qkv(x).split(dim, dim=2))
        scores = torch.einsum("nihc,njhc->nhij", q, k) / math.sqrt(dim / self.heads)
        if self.causal:
            scores = scores.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(diagonal=1), -math.inf)
        mixed = torch.einsum("nhij,njhc->nihc", scores.softmax(dim=-1), v).reshape(n, t, dim)
        outputs: Tensor = self.out(mixed)
        return outputs


class PlainNorm(nn.Module):
    """A layer for (N, C), applied to tokens (N, T, C)."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        n, t, dim = x.shape
        outputs: Tensor = self.norm(x.reshape(n * t, dim))
        return outputs.reshape(n, t, dim)


class PlainBlock(nn.Module):
    def __init__(self, dim: int, heads: int, ratio: int, norm: MakeNorm, placement: str, causal: bool) -> None:
        super().__init__()
        self.placement = placement
        one, two = placement in ("pre", "peri"), placement in ("post", "peri")
        self.norm1 = PlainNorm(norm(dim)) if one else None
        self.attention = PlainAttention(dim, heads, causal)
        self.norm2 = PlainNorm(norm(dim)) if two else None
        self.norm3 = PlainNorm(norm(dim)) if one else None
        self.mlp = nn.Sequential(nn.Linear(dim, ratio * dim), nn.GELU(), nn.Linear(ratio * dim, dim))
        self.norm4 = PlainNorm(norm(dim)) if two else None

    def forward(self, x: Tensor) -> Tensor:
        for before, layer, after in ((self.norm1, self.attention, self.norm2), (self.norm3, self.mlp, self.norm4)):
            if self.placement == "pre":
                x = x + layer(before(x))  # type: ignore[misc]
            elif self.placement == "post":
                x = after(x + layer(x))  # type: ignore[misc]
            elif self.placement == "peri":
                x = x + after(layer(before(x)))  # type: ignore[misc]
            else:
                x = x + layer(x)
        return x


class PlainTransformer(nn.Module):
    """A language model of `tokens` words, or with `patch` a classifier of images."""

    def __init__(
        self, tokens: int, length: int, classes: int, depth: int, norm: MakeNorm, placement: str, patch: int = 0
    ) -> None:
        super().__init__()
        dim = 64
        self.patch = patch
        self.embedding = nn.Linear(patch**2, dim) if patch else nn.Embedding(tokens, dim)
        self.positions = nn.Embedding(length, dim)
        self.blocks = nn.Sequential(*(PlainBlock(dim, 4, 4, norm, placement, not patch) for _ in range(depth)))
        self.norm = PlainNorm(norm(dim)) if placement in ("pre", "peri") else None
        self.head = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        if self.patch:
            x = functional.unfold(x, self.patch, stride=self.patch).transpose(1, 2)
        x = self.embedding(x)
        x = self.blocks(x + self.positions(torch.arange(x.shape[1])))
        x = x if self.norm is None else self.norm(x)
        logits: Tensor = self.head(x.mean(dim=1) if self.patch else x)
        return logits


def main() -> None:
    plain = {
        f"model=vit model.patch=7 model.depth=2 model.placement={placement} normalizer=batch": partial(
            PlainTransformer, 0, 16, 10, depth=2, norm=nn.BatchNorm1d, placement=placement, patch=7
        )
        for placement in ("pre", "post", "peri")
    }
    compare(__doc__, plain, train)


if __name__ == "__main__":
    main()
