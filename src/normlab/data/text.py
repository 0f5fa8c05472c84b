"""Characters of a text as tokens: Tiny Shakespeare, downloaded and verified by SHA-256, or a file of a user's own."""

import math
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from normlab.data.download import DataError, download, stamp, verify
from normlab.data.limits import require_memory
from normlab.data.splits import Split, Splits
from normlab.data.tasks import Metric, NextToken

MIRRORS = ("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",)
DIGEST = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
"""SHA-256 of Tiny Shakespeare, the file `input.txt` of the mirrors."""

HELD_OUT = 0.05
"""Share of the text that validates, after the one that trains, and of the one that tests, at the end."""

BYTES_PER_CHARACTER = 20
"""Largest number at a time: encoded, as a string, as code points and as tokens."""


class Characters(NextToken):
    """Next characters of a text, scored in bits per character too.

    Args:
        vocabulary: the characters, of which token i is the i-th.
    """

    def __init__(self, vocabulary: str) -> None:
        self.vocabulary = vocabulary

    def count_classes(self, inputs: Tensor, targets: Tensor) -> int:
        """Return the number of characters in the whole text, of which the training split may lack some."""
        return len(self.vocabulary)

    def describe_metrics(self, inputs: Tensor, targets: Tensor) -> dict[str, Metric]:
        bits = Metric("lower", low=0.0, guess=math.log2(len(self.vocabulary)))
        return {**super().describe_metrics(inputs, targets), "bits_per_character": bits}

    def measure(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        log_probabilities = logits.log_softmax(dim=-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        return {**super().measure(logits, targets), "bits_per_character": -log_probabilities / math.log(2)}


def text(root: str | None = None, context: int = 64) -> Splits:
    """Return windows of a text, tokens (N, context) and their next tokens, with the task `Characters`.

    The first 90 % of the text train: a window starts at each character, and as many as validate, evenly spread, are
    scored. The next 5 % validate, and the last 5 % test, in windows that follow one another. All are views of one
    tensor of tokens, 8 bytes per character. The vocabulary is the sorted characters of the whole text.

    Args:
        root: file in UTF-8. None: Tiny Shakespeare (Karpathy, 2015), in `tinyshakespeare/input.txt` below the folder
            that the environment variable `NORMLAB_DATA` names, or `~/.cache/normlab`; downloaded there if missing.
        context: length of a window.

    Raises:
        DataError: the file is missing, cannot be downloaded or differs from the original, or is no text; it is larger
            than the free memory, or too short for a window in each part.
    """
    if isinstance(context, bool) or context < 1:
        raise DataError(f"data.context={context} is out of range: choose at least 1")
    file = Path(_find_tiny_shakespeare() if root is None else root).expanduser()
    if not file.is_file():
        raise DataError(f"data.root={file} does not exist or is no file: name a text, or null for Tiny Shakespeare")
    return _load(file, context, stamp([file]))


def _find_tiny_shakespeare() -> Path:
    """Return Tiny Shakespeare's file, downloaded if it was missing. Raises DataError unless it is the original."""
    file = Path(os.environ.get("NORMLAB_DATA", "~/.cache/normlab")).expanduser() / "tinyshakespeare" / "input.txt"
    if not file.is_file():
        download(
            file,
            MIRRORS,
            DIGEST,
            f"Tiny Shakespeare could not be downloaded.\nLooked for {file}",
            f"Place {file.name} in {file.parent}, name the folder above it by the environment variable NORMLAB_DATA,"
            " or choose a text of your own with data.root=FILE.",
        )
    verify(file, DIGEST)
    return file


@lru_cache(maxsize=1)  # a worker trains many runs
def _load(file: Path, context: int, stamps: object) -> Splits:
    size = file.stat().st_size
    require_memory(BYTES_PER_CHARACTER * size, f"the characters of data.root={file}", "choose a part of the text")
    try:
        codes = np.frombuffer(file.read_bytes().decode("utf-8").encode("utf-32-le"), np.uint32)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"data.root={file} is no text in UTF-8 that can be read: {error}") from error
    held_out = int(HELD_OUT * len(codes))
    if held_out <= context:
        raise DataError(
            f"data.root={file} has {len(codes):,} characters, of which {held_out:,} validate and {held_out:,} test, but"
            f" data.context={context} and a next character need {context + 1}: take a longer text or a shorter context"
        )
    occurs = np.zeros(0x110000, bool)
    occurs[codes] = True
    tokens = torch.from_numpy((np.cumsum(occurs) - 1)[codes])
    train, val, test = tokens.tensor_split([len(tokens) - 2 * held_out, len(tokens) - held_out])
    overlapping = _cut(train, context, every=1)
    one_after_another = _cut(val, context, every=context)
    return Splits(
        train=overlapping,
        val=one_after_another,
        test=_cut(test, context, every=context),
        task=Characters("".join(map(chr, np.flatnonzero(occurs)))),
        score_every=len(overlapping.inputs) // len(one_after_another.inputs),
    )


def _cut(tokens: Tensor, context: int, every: int) -> Split:
    """Return the windows that start at every so many characters, as views."""
    windows = tokens.unfold(0, context + 1, every)
    return Split(windows[:, :-1], windows[:, 1:])
