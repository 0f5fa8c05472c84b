"""Measurements of runs, one file each; `contract.py` says what a measurement is."""

from normlab.data.splits import Splits
from normlab.data.tasks import Metric
from normlab.measurements.contract import Measurement, State
from normlab.measurements.histograms import Histograms
from normlab.measurements.normalizer_statistics import NormalizerStatistics
from normlab.measurements.scores import BatchScore, OneByOneScore, SplitScore

__all__ = ["Measurement", "Metric", "OneByOneScore", "State", "build"]


def build(name: str, splits: Splits, batch_size: int) -> Measurement | None:
    """Build the measurement that ships under a name; None if there is none."""
    if name in ("train", "val", "test"):
        return SplitScore(name, splits)
    if name in ("train_batch", "test_batch"):
        return BatchScore(name, splits, batch_size)
    if name == "normalizers":
        return NormalizerStatistics()
    return Histograms() if name == "histograms" else None
