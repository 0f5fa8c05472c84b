"""The inputs of normalizers while a network trains, and how far their running averages are from them."""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from normlab.models.layers import Block

SAMPLE = 1_000
"""Training images that stand for the population."""
VALUES_FOR_PERCENTILES = 50_000
"""Values of a layer that its percentiles are computed from; sorting millions would take longer than the pass."""


def measure_normalizers(network: nn.Module, images: Tensor) -> dict[str, float]:
    """Pass images through a copy of the network in training mode, and describe the inputs of each normalizer.

    In training mode each layer normalizes with the statistics of these images, as it does with those of a batch. So
    the inputs are what the running averages are averages of, however far those of the layers below lag behind.

    Args:
        network: any; the normalizers in its `Block`s are described, also those that normalize nothing.
        images: (N, C, H, W), preprocessed.

    Returns:
        For each block `normalizer/<block>/…`: `input_p15`, `input_p50` and `input_p85`, percentiles over all features
        (Ioffe and Szegedy, 2015, figure 1); and for running averages `mean_offset`, the root mean square over
        features of (running mean − mean) / √(variance + eps), and `variance_ratio`, the geometric mean over features
        of (running variance + eps) / (variance + eps): 0 and 1 once they have settled.
    """
    values: dict[str, float] = {}
    with _observable_copy(network) as observed:
        for name, block in observed.named_modules():
            if isinstance(block, Block):
                block.normalizer.register_forward_pre_hook(
                    lambda normalizer, inputs, name=name: values.update(
                        _describe(f"normalizer/{name}", normalizer, *inputs)
                    )
                )
        observed(images)
    return values


@contextmanager
def _observable_copy(network: nn.Module) -> Iterator[nn.Module]:
    """Return a copy in training mode, which changes neither the network nor a random stream, in this process alone."""
    observed = copy.deepcopy(network).train()
    for module in observed.modules():
        if getattr(module, "synchronized", False):
            setattr(module, "synchronized", False)  # noqa: B010  # nn.Module's type hides plain attributes
    devices = {parameter.device for parameter in observed.parameters() if parameter.is_cuda}
    with torch.no_grad(), torch.random.fork_rng(list(devices)):
        yield observed


def _describe(name: str, normalizer: nn.Module, inputs: Tensor) -> dict[str, float]:
    quantiles = torch.quantile(_sample_evenly(inputs), torch.tensor([0.15, 0.5, 0.85], device=inputs.device))
    described = {
        f"{name}/input_p{percent}": float(value) for percent, value in zip((15, 50, 85), quantiles, strict=True)
    }
    running_mean, running_var = (getattr(normalizer, key, None) for key in ("running_mean", "running_var"))
    if isinstance(running_mean, Tensor) and isinstance(running_var, Tensor):
        variance, mean = torch.var_mean(inputs, dim=[0, *range(2, inputs.ndim)], correction=0)
        eps = float(getattr(normalizer, "eps", 1e-5))
        # The hook runs before the forward pass, which moves the averages of the copy.
        offset = (running_mean - mean) / (variance + eps).sqrt()
        ratio = (running_var + eps) / (variance + eps)
        described[f"{name}/mean_offset"] = float(offset.square().mean().sqrt())
        described[f"{name}/variance_ratio"] = float(ratio.log().mean().exp())
    return described


def _sample_evenly(values: Tensor) -> Tensor:
    """Return some of the values, evenly spread over examples, features and positions."""
    step = max(1, values.numel() // VALUES_FOR_PERCENTILES)
    while math.gcd(step, values.numel()) != 1:  # else whole features could be skipped
        step += 1
    return values.flatten()[::step]
