"""normlab: reproducible ablations of normalization layers."""

__version__ = "0.1.0"
