"""Data in memory: sources, their tasks, preprocessing, and the step-indexed stream of batches."""

from normlab.data.arrays import arrays
from normlab.data.augmentation import Augmentation, CropFlip, keep_images
from normlab.data.batches import BatchStream
from normlab.data.cifar import cifar10, cifar100
from normlab.data.digits import digits
from normlab.data.download import DataError
from normlab.data.image_folder import image_folder
from normlab.data.mnist import fashion_mnist, mnist
from normlab.data.samplers import Sampler, by_class, shuffle
from normlab.data.splits import Split, Splits
from normlab.data.tasks import Classification, NextToken, Task
from normlab.data.text import text

__all__ = [
    "Augmentation",
    "BatchStream",
    "Classification",
    "CropFlip",
    "DataError",
    "NextToken",
    "Sampler",
    "Split",
    "Splits",
    "Task",
    "arrays",
    "by_class",
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mnist",
    "image_folder",
    "keep_images",
    "mnist",
    "shuffle",
    "text",
]
