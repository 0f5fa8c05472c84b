"""Short sequences of tokens, for tests that compare arithmetic and not accuracy."""

import torch

from normlab.data import NextToken
from normlab.randomness import generator


class SmallTokens:
    """Windows of a text whose next token depends on the two before it, with some noise."""

    task = NextToken()

    def __init__(self, context: int = 6, vocabulary: int = 7) -> None:
        text = torch.randint(0, vocabulary, (500,), generator=generator(0, "text"))
        text[2::3] = (text[:-2:3] + text[1:-1:3]) % vocabulary
        windows = text.unfold(0, context + 1, 1)
        train, val, test = windows.tensor_split([300, 400])
        self.train, self.val, self.test = ((part[:, :-1], part[:, 1:]) for part in (train, val, test))
