"""Normalization layers as plain modules: built with a number of features, for inputs (N, C) and (N, C, H, W)."""

from normlab.normalizers.batch_norm import BatchNorm
from normlab.normalizers.formula import BatchNormByFormula
from normlab.normalizers.synchronized import statistics_batch, synchronize

__all__ = ["BatchNorm", "BatchNormByFormula", "statistics_batch", "synchronize"]
