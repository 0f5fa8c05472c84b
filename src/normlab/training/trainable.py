"""Which parameters of a network are trained; all others stay at their start.

Each function takes the network with its initial weights and the seed of the run. It sets `requires_grad` to False for
parameters that stay as a whole, and returns masks of those that stay in part.

Source: Frankle, Schwab and Morcos, Training BatchNorm and Only BatchNorm, 2020, arXiv:2003.00152.
"""

from collections.abc import Collection

import torch
from torch import Tensor, nn

from normlab.models.layers import name_normalizer_parameters, name_output_parameters
from normlab.randomness import generator

Masks = dict[str, Tensor]
"""By the names of parameters that stay in part, boolean tensors of their shapes, true where they stay."""


def train_all(network: nn.Module, seed: int) -> Masks:
    """Train all parameters."""
    return {}


def train_parts(network: nn.Module, seed: int, normalizers: bool = False, output: bool = False) -> Masks:
    """Train the parameters of normalizers, of the last linear map, or of both. Raises ValueError if they have none."""
    trained = name_normalizer_parameters(network) if normalizers else set()
    if output:
        trained |= name_output_parameters(network)
    if not trained:
        raise ValueError("trainable: this network has no such parameters: choose another normalizer or trainable=all")
    _keep_all_but(network, trained)
    return {}


def train_random_subset(network: nn.Module, seed: int, fraction: float | None = None) -> Masks:
    """Train single weights, drawn from all parameters but those of the normalizers, which stay.

    Each parameter has a random stream of its own. `fraction` is that of these weights; None: as many as the normalizers
    have. Raises ValueError if it is no number, or means none of them or more than there are.
    """
    if fraction is not None and not isinstance(fraction, int | float):
        raise ValueError(f"trainable.fraction={fraction!r} has the wrong type: it is a number or null")
    own = name_normalizer_parameters(network)
    parameters = dict(network.named_parameters())
    others = {name: parameter for name, parameter in parameters.items() if name not in own}
    scores = {
        # float64, in which no two are alike
        name: torch.rand(parameter.shape, generator=generator(seed, f"trainable/{name}"), dtype=torch.float64)
        for name, parameter in others.items()
    }
    pool = torch.cat([each.flatten() for each in scores.values()])
    count = sum(parameters[name].numel() for name in own) if fraction is None else round(fraction * len(pool))
    if not 1 <= count <= len(pool):
        chosen = "null, as many as the normalizers have," if fraction is None else fraction
        raise ValueError(f"trainable.fraction={chosen} is {count} of {len(pool)} weights: choose above 0 and up to 1")
    threshold = pool.kthvalue(count).values
    _keep_all_but(network, others)
    return {name: (each > threshold).to(others[name].device) for name, each in scores.items()}


def _keep_all_but(network: nn.Module, trained: Collection[str]) -> None:
    for name, parameter in network.named_parameters():
        if name not in trained:
            parameter.requires_grad_(False)
