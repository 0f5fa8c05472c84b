"""Measurements of runs, one file each; `contract.py` says what a measurement is."""

from normlab.data.tasks import Metric, Task
from normlab.measurements.contract import Measurement, State
from normlab.measurements.histograms import Histograms
from normlab.measurements.normalizer_statistics import NormalizerStatistics
from normlab.measurements.scores import BatchScore, OneByOneScore, SplitScore

__all__ = ["Measurement", "Metric", "OneByOneScore", "State", "build"]


def build(name: str, task: Task) -> Measurement | None:
    """Build the measurement that ships under a name; None if there is none."""
    if name in ("train", "val", "test"):
        return SplitScore(name, task)
    if name in ("train_batch", "test_batch"):
        return BatchScore(name, task)
    if name == "normalizers":
        return NormalizerStatistics()
    return Histograms() if name == "histograms" else None
