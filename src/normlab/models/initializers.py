"""Initial weights: two networks with the same seed agree in every layer that they share."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from normlab.randomness import generator

Initializer = Callable[[Tensor, torch.Generator], None]
"""Fills a weight (outputs, inputs) or (outputs, inputs, H, W) in place from a generator."""


class GlorotUniform:
    """U(−a, a) with a = √(6 / (fan in + fan out)) (Glorot and Bengio, 2010): the default of `tf.layers`."""

    def __call__(self, weight: Tensor, generator: torch.Generator) -> None:
        nn.init.xavier_uniform_(weight, generator=generator)


class Normal:
    """N(0, std²). Raises ValueError unless std is positive and finite."""

    def __init__(self, std: float = 0.05) -> None:
        self.std = _check_std(std)

    def __call__(self, weight: Tensor, generator: torch.Generator) -> None:
        nn.init.normal_(weight, std=self.std, generator=generator)


class TruncatedNormal:
    """N(0, std²) cut at two standard deviations, as `tf.truncated_normal`. Raises ValueError as `Normal` does."""

    def __init__(self, std: float = 0.05) -> None:
        self.std = _check_std(std)

    def __call__(self, weight: Tensor, generator: torch.Generator) -> None:
        nn.init.trunc_normal_(weight, std=self.std, a=-2 * self.std, b=2 * self.std, generator=generator)


class HeNormal:
    """N(0, 2 / fan in) (He et al., 2015, arXiv:1502.01852, equation 10)."""

    def __call__(self, weight: Tensor, generator: torch.Generator) -> None:
        nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)


def _check_std(std: float) -> float:
    if not (math.isfinite(std) and std > 0):
        raise ValueError(f"std must be a positive number, got {std}")
    return std


@torch.no_grad()
def initialize(
    network: nn.Module, seed: int, initializer: Initializer, convolution_initializer: Initializer | None = None
) -> list[str]:
    """Draw the initial weights of `network`, each from a random stream named after its parameter or module.

    Weights of `torch.nn.Linear` and `Conv2d` come from `initializer`, those of `Conv2d` from `convolution_initializer`
    if given; their biases start at zero. Every other module draws its own: by `draw_parameters` (see `Normalizer`), or
    by `reset_parameters`, as those of torch.nn do, under a stream of its own. A module comes after those in it, so that
    `reset_parameters` of a whole network has the last word. Modules with a true attribute `keeps_values` are left out.

    Returns:
        Names of the parameters that are not drawn this way and not constant: they differ between runs with one seed.
    """
    unpaired = []
    for module_name, module in reversed([*network.named_modules()]):
        if getattr(module, "keeps_values", False):
            continue

        def generator_for(parameter: str, module_name: str = module_name) -> torch.Generator:
            return generator(seed, f"{module_name}.{parameter}")

        own = dict(module.named_parameters(recurse=False))
        reset = getattr(module, "reset_parameters", None) or (own and getattr(module, "_reset_parameters", None))
        if isinstance(module, nn.Linear | nn.Conv2d):
            draw = convolution_initializer if isinstance(module, nn.Conv2d) else None
            weight = torch.empty(module.weight.shape)  # the order of draws must not depend on the memory format
            (draw or initializer)(weight, generator_for("weight"))
            module.weight.copy_(weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif hasattr(module, "draw_parameters"):
            module.draw_parameters(generator_for)
        elif reset:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(generator(seed, module_name).initial_seed())
                reset()
        else:
            unpaired += [f"{module_name}.{name}" for name, value in own.items() if (value != value.flatten()[:1]).any()]
    return unpaired
