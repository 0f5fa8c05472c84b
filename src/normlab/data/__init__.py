"""Image data in memory: sources, preprocessing and the step-indexed stream of batches."""

from normlab.data.batches import BatchStream
from normlab.data.digits import digits
from normlab.data.mnist import DataError, fashion_mnist, mnist
from normlab.data.splits import Split, Splits

__all__ = ["BatchStream", "DataError", "Split", "Splits", "digits", "fashion_mnist", "mnist"]
