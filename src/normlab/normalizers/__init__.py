"""Normalization layers as plain modules: built with a number of features, for inputs (N, C) and (N, C, H, W)."""

from normlab.normalizers.batch_norm import BatchNorm
from normlab.normalizers.formula import BatchNormByFormula

__all__ = ["BatchNorm", "BatchNormByFormula"]
