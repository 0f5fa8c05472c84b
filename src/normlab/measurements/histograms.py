"""Scale, shift and running averages of every normalizer, as histograms in TensorBoard."""

from collections.abc import Mapping

from torch import Tensor

from normlab.data.tasks import Metric
from normlab.measurements.contract import State
from normlab.models.layers import list_normalizers


class Histograms:
    """Floating-point parameters and buffers of the normalizer of each `Block`."""

    metrics: Mapping[str, Metric] = {}

    def measure(self, state: State) -> dict[str, Tensor]:
        # One group of tags, which TensorBoard sorts behind the curves.
        return {
            f"variables/{block}/{name}": values.flatten()
            for block, normalizer in list_normalizers(state.network)
            for name, values in normalizer.state_dict().items()
            if isinstance(values, Tensor) and values.is_floating_point()
        }
