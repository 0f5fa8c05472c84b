"""Digits of 10×10 pixels, for tests that compare arithmetic and not accuracy."""

import torch

from normlab.data import Split, Splits
from normlab.data.digits import digits
from normlab.randomness import generator

SMALL = "data._target_=tests.small_digits.small_digits"
"""The override that chooses them."""


def small_digits() -> Splits:
    """Every third row and column of scikit-learn's digits, on noise.

    On the plain background convolutions give many equal values, among which rounding decides what max-pooling picks.
    """
    whole = digits()
    train, val, test = (_on_noise(name, getattr(whole, name)) for name in ("train", "val", "test"))
    return Splits(train, val, test)


def _on_noise(name: str, split: Split) -> Split:
    images = split.inputs[:, :, ::3, ::3]
    noise = torch.randint(0, 60, images.shape, generator=generator(0, name), dtype=torch.uint8)
    return Split(torch.maximum(images, noise), split.targets)
