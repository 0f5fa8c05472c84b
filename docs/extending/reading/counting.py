"""Sequences that count in steps of their own, and a language model of two tokens that learns to go on."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from normlab.data import NextToken
from normlab.models.layers import make_dense_block


class Counting:
    """Sequences start, start + step, start + 2 · step, … modulo the vocabulary, as tokens and next tokens (N, T).

    Args:
        vocabulary: number of tokens K.
        context: length T.
    """

    task = NextToken()

    def __init__(self, vocabulary: int = 11, context: int = 8) -> None:
        starts, steps = torch.cartesian_prod(torch.arange(vocabulary), torch.arange(1, vocabulary)).unbind(dim=1)
        sequences = (starts[:, None] + steps[:, None] * torch.arange(context + 1)) % vocabulary
        sequences = sequences[torch.randperm(len(sequences), generator=torch.Generator().manual_seed(0))]
        train, val, test = sequences.tensor_split([len(sequences) * 6 // 10, len(sequences) * 8 // 10])
        self.train, self.val, self.test = ((part[:, :-1], part[:, 1:]) for part in (train, val, test))


class PairModel(nn.Module):
    """Predicts each next token from the two before it.

    Args:
        vocabulary_size: K.
        context: length T of the sequences; any will do.
        normalizer: from a number of features to a layer.
        features: size of an embedding.
        hidden: width of the block.
        activation: of the block.
    """

    def __init__(
        self,
        vocabulary_size: int,
        context: int,
        normalizer: Callable[[int], nn.Module],
        features: int = 16,
        hidden: int = 64,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, features)
        self.block = make_dense_block(2 * features, hidden, normalizer, activation)
        self.logits = nn.Linear(hidden, vocabulary_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, T) to logits (N, T, K)."""
        embedded = self.embedding(tokens)
        before = nn.functional.pad(embedded, (0, 0, 1, 0))[:, :-1]  # zeros before the first token
        pairs = torch.cat([before, embedded], dim=-1)
        hidden = self.block(pairs.flatten(end_dim=1))  # (N · T, C): each token is an example
        logits: Tensor = self.logits(hidden).unflatten(0, tokens.shape)
        return logits
