"""The contract of a measurement: the state of a run that it sees, and the values that it returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from normlab.data.batches import BatchStream
from normlab.data.preprocessing import Preprocess
from normlab.data.splits import Splits
from normlab.data.tasks import Metric

Objective = Callable[[Tensor, Tensor], Tensor]
"""From logits (N, …, K) and targets (N, …) to the mean loss, a scalar."""

Values = dict[str, float | Tensor]


@dataclass(frozen=True)
class State:
    """A network after some steps of training, and what it can be measured on."""

    network: nn.Module
    objective: Objective
    splits: Splits
    preprocess: Preprocess
    """From the inputs of a split to those of the network."""
    batches: BatchStream
    """Of the training split."""
    test_batches: BatchStream
    step: int
    """Number of steps done."""
    batches_done: int
    """Number of training batches that they took: more than steps if gradients are accumulated."""
    count: int = 0
    """Number of earlier observations by the same schedule."""


class Measurement(Protocol):
    """Anything measured of a network: curves under `observe.NAME`, final metrics under `evaluate.NAME`.

    One that ships needs its NAME alone (see `normlab.measurements.build`). Any other is a class named by `_target_`,
    which the further keys are passed to. It leaves the network and the mode of its modules as they are: see
    `inference_mode` in `scores.py` and `copy_for_training` in `normalizer_statistics.py`. It may draw from the global
    random streams, which are restored.

    Optional attributes:
        in_tensorboard: False to write numbers to `metrics.csv` alone.
    """

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Direction and bounds of values by name, such as `val/loss`; no other measurement of a run has that name.

        Values without an entry are curves alone, never final metrics.
        """

    def measure(self, state: State) -> Mapping[str, float | Tensor]:
        """Return numbers by name, and tensors of one axis or more, which TensorBoard shows as histograms.

        Values that are not finite are left out with a warning; all are if this raises.
        """


def check_values(values: object) -> Values:
    """Return measured values by name, tensors without axes as numbers. Raises TypeError if they are neither."""
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise TypeError(f"measure must return a dict of values by name, not {type(values).__name__}")
    found = {name: value.item() if _is_scalar(value) else value for name, value in values.items()}
    for name, value in found.items():
        if not isinstance(value, int | float | Tensor):
            raise TypeError(f"measure must return numbers and tensors, but {name} is {type(value).__name__}")
    return found


def _is_scalar(value: object) -> bool:
    return getattr(value, "ndim", None) == 0  # of torch or NumPy
