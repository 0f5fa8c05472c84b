"""Normalization layers for inputs (N, C) and (N, C, H, W), built with a number of features."""

from normlab.normalizers.batch_norm import BatchNorm
from normlab.normalizers.formula import BatchNormByFormula
from normlab.normalizers.synchronized import get_statistics_batch, synchronize

__all__ = ["BatchNorm", "BatchNormByFormula", "get_statistics_batch", "synchronize"]
