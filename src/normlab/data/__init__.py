"""Data in memory: sources, their tasks, preprocessing and the step-indexed stream of batches."""

from normlab.data.batches import BatchStream
from normlab.data.digits import digits
from normlab.data.mnist import DataError, fashion_mnist, mnist
from normlab.data.splits import Split, Splits
from normlab.data.tasks import Classification, NextToken, Task

__all__ = [
    "BatchStream",
    "Classification",
    "DataError",
    "NextToken",
    "Split",
    "Splits",
    "Task",
    "digits",
    "fashion_mnist",
    "mnist",
]
