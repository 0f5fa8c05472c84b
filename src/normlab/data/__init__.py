"""Image data held in memory: sources, preprocessing and the step-indexed stream of batches."""

from normlab.data.digits import digits
from normlab.data.idx_sources import DataError, fashion_mnist, mnist
from normlab.data.splits import Split, Splits
from normlab.data.stream import BatchStream

__all__ = ["BatchStream", "DataError", "Split", "Splits", "digits", "fashion_mnist", "mnist"]
