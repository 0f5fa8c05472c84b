"""Causal transformer over sequences of tokens."""

from torch import Tensor, nn

from normlab.models.layers import NormalizerFactory
from normlab.models.transformer import Embedding, Placement, Transformer


class LanguageModel(nn.Module):
    """Decoder-only transformer, which predicts each next token from a token and those before it.

    Embeddings of tokens and positions, blocks with causal attention, and a dense layer of its own for the logits. No
    dropout.

    Args:
        vocabulary_size: number of tokens K.
        context: length of the longest sequence.
        normalizer, dim, depth, heads, mlp_ratio, placement, activation: see `normlab.models.transformer.Transformer`.

    Raises:
        ValueError: a sequence is longer than context, and what `Transformer` raises.
    """

    def __init__(
        self,
        vocabulary_size: int,
        context: int,
        normalizer: NormalizerFactory,
        dim: int = 64,
        depth: int = 4,
        heads: int = 4,
        mlp_ratio: float = 4.0,
        placement: Placement = "pre",
        activation: str = "gelu",
    ) -> None:
        super().__init__()
        transformer = Transformer(dim, depth, heads, mlp_ratio, normalizer, placement, activation, causal=True)
        self.embedding = Embedding(vocabulary_size, dim)
        self.positions = Embedding(context, dim)
        self.transformer = transformer
        self.output = nn.Linear(dim, vocabulary_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, T), with T up to context, to logits (N, T, K)."""
        length, context = tokens.shape[1], self.positions.num_embeddings
        if length > context:
            raise ValueError(f"a sequence of {length} tokens is longer than the context of {context}: cut it")
        embedded = self.embedding(tokens) + self.positions.weight[:length]
        logits: Tensor = self.output(self.transformer(embedded))
        return logits
