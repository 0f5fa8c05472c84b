"""Inputs of the normalizers during training, and the lag of their running averages."""

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from normlab.data.tasks import Metric
from normlab.measurements.contract import State
from normlab.models.layers import list_places
from normlab.normalizers.affine import widen

SAMPLE = 1_000
"""Training examples measured, as a sample of the population."""
VALUES_FOR_PERCENTILES = 50_000
"""Values per layer that percentiles are computed from; sorting millions would take longer than the forward pass."""


class NormalizerStatistics:
    """Statistics of a sample of the training split, in `metrics.csv` alone: TensorBoard shows more as histograms."""

    metrics: Mapping[str, Metric] = {}
    in_tensorboard = False

    def measure(self, state: State) -> dict[str, float]:
        return measure_normalizers(state.network, state.preprocess(state.splits.select_scored("train").inputs[:SAMPLE]))


def measure_normalizers(network: nn.Module, inputs: Tensor) -> dict[str, float]:
    """Pass examples through a copy of the network in training mode and measure the inputs of each normalizer.

    In training mode each layer normalizes with the statistics of these examples, so lagging running averages in
    earlier layers do not distort the inputs of later ones.

    Args:
        network: measured at each place of a normalizer (see `list_places`), including `torch.nn.Identity`.
        inputs: (N, …), preprocessed; as many are passed as make whole parts of each `statistics_batch`.

    Returns:
        For each block, with prefix `normalizer/<block>/`: `input_p15`, `input_p50` and `input_p85`, percentiles over
        all features (Ioffe and Szegedy, 2015, figure 1). With a running mean also `mean_offset`, the root mean square
        over features of (running mean − mean) / √(variance + eps), and with a running variance `variance_ratio`, the
        geometric mean over features of (running variance + eps) / (variance + eps): 0 and 1 once they have settled.
    """
    values: dict[str, float] = {}
    with copy_for_training(network) as clone:
        for name, normalizer in list_places(clone):
            normalizer.register_forward_pre_hook(
                lambda normalizer, inputs, name=name: values.update(
                    _measure_inputs(f"normalizer/{name}", normalizer, *inputs)
                )
            )
        clone(inputs[: _find_whole_parts(clone, len(inputs))])
    return values


def _find_whole_parts(network: nn.Module, examples: int) -> int:
    """Return how many of some examples every normalizer can cut into parts of its `statistics_batch`."""
    sizes = [getattr(module, "statistics_batch", None) for module in network.modules()]
    part = math.lcm(*(size for size in sizes if isinstance(size, int)))
    return examples // part * part or examples


@contextmanager
def copy_for_training(network: nn.Module) -> Iterator[nn.Module]:
    """Yield a copy in training mode whose use changes neither the network nor random streams nor other processes."""
    clone = copy.deepcopy(network).train()
    for module in clone.modules():
        if getattr(module, "synchronized", False):
            setattr(module, "synchronized", False)  # noqa: B010  # nn.Module's type hides plain attributes
    devices = {parameter.device for parameter in clone.parameters() if parameter.is_cuda}
    with torch.no_grad(), torch.random.fork_rng(list(devices)):
        yield clone


def _measure_inputs(name: str, normalizer: nn.Module, inputs: Tensor) -> dict[str, float]:
    inputs = widen(inputs)  # `torch.quantile` does not take half precision
    quantiles = torch.quantile(_sample_evenly(inputs), inputs.new_tensor([0.15, 0.5, 0.85]))
    values = {f"{name}/input_p{percent}": float(value) for percent, value in zip((15, 50, 85), quantiles, strict=True)}
    variance, mean = torch.var_mean(inputs, dim=[0, *range(2, inputs.ndim)], correction=0)
    eps = float(getattr(normalizer, "eps", 1e-5))
    # The hook runs before the forward pass, which updates the averages of the copy.
    if isinstance(running_mean := getattr(normalizer, "running_mean", None), Tensor):
        offset = (running_mean - mean) / (variance + eps).sqrt()
        values[f"{name}/mean_offset"] = float(offset.square().mean().sqrt())
    if isinstance(running_var := getattr(normalizer, "running_var", None), Tensor):
        ratio = (running_var + eps) / (variance + eps)
        values[f"{name}/variance_ratio"] = float(ratio.log().mean().exp())
    return values


def _sample_evenly(values: Tensor) -> Tensor:
    """Return a sample of the values, evenly spaced over examples, features and positions."""
    step = max(1, values.numel() // VALUES_FOR_PERCENTILES)
    while math.gcd(step, values.numel()) != 1:  # otherwise whole features could be skipped
        step += 1
    return values.flatten()[::step]
