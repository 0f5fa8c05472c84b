"""Digits of 10×10 pixels, for tests that compare arithmetic and not accuracy."""

from normlab.data import Split, Splits
from normlab.data.digits import digits

SMALL = "data._target_=tests.small_digits.small_digits"
"""The override that chooses them."""


def small_digits() -> Splits:
    """Every third row and column of scikit-learn's digits."""
    whole = digits()
    return Splits(
        **{
            name: Split(getattr(whole, name).images[:, :, ::3, ::3], getattr(whole, name).labels)
            for name in ("train", "val", "test")
        }
    )
