"""The 1,797 scanned digits that ship inside scikit-learn: real data that need no network."""

import torch
from torch.nn.functional import interpolate

from normlab.data.splits import Split, Splits
from normlab.randomness import generator

VALIDATION_IMAGES = 250
TEST_IMAGES = 300
IMAGE_SIZE = 28
BRIGHTEST = 16


def digits() -> Splits:
    """Return scikit-learn's digits (a part of the UCI Optical Recognition set), resized from 8×8 to 28×28.

    The file goes from writer to writer, so it is shuffled, always in the same way: then the first 250 validate, the
    last 300 test, and the 1,247 between them train.
    """
    from sklearn.datasets import load_digits  # slow to import, and needed here alone

    bunch = load_digits()
    order = torch.randperm(len(bunch.images), generator=generator(0, "digits"))
    small = torch.from_numpy(bunch.images).float().unsqueeze(1)[order]
    large = interpolate(small, size=(IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", align_corners=False)
    images = (large * (255 / BRIGHTEST)).round().to(torch.uint8)
    labels = torch.from_numpy(bunch.target).long()[order]
    train = slice(VALIDATION_IMAGES, len(images) - TEST_IMAGES)
    return Splits(
        train=Split(images[train], labels[train]),
        val=Split(images[:VALIDATION_IMAGES], labels[:VALIDATION_IMAGES]),
        test=Split(images[-TEST_IMAGES:], labels[-TEST_IMAGES:]),
    )
