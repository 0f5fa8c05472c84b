"""The 1,797 scanned digits shipped with scikit-learn: real data without a download."""

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

    The file is ordered by writer, so it is shuffled with a fixed seed. The first 250 images are for validation, the
    last 300 for testing and the 1,247 in between for training.
    """
    from sklearn.datasets import load_digits  # slow to import

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
