"""Normalizers against the fastest public layer that computes the same: forward and backward passes, in turn.

Inputs have the shapes and memory formats in which shipped networks pass them. Public layers are those of torch.nn, and
of timm where it has one. `batch` stands for all names of `normlab.normalizers.BatchNorm`; `formula` is written for
reading, and normalizers without a public layer are left out. A ratio above 1 means that normlab's is faster.

Command: python benchmarks/normalizers.py [NORMALIZER ...] (about 2 minutes on one core)
"""

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType

import torch
from network_libraries import OverLastAxis, import_network_library
from paired import in_turn, print_machine, ratio, read_cases_and_rounds
from torch import Tensor, nn

import normlab
from normlab.processes.memory import keep_freed_memory

SHAPES: dict[tuple[int, ...], str] = {
    (64, 100): "mlp",
    (64, 200): "lstm",
    (1024, 64): "vit",
    (4096, 64): "language_model",
    (64, 6, 28, 28): "convnet",
    (64, 16, 14, 14): "convnet, resnet",
    (64, 8, 28, 28): "resnet",
    (64, 32, 7, 7): "resnet",
    (64, 4, 28, 28): "deep_cnn",
    (64, 16, 7, 7): "deep_cnn",
    (64, 36, 4, 4): "deep_cnn",
}
"""Inputs of normalizers → networks that pass them; feature maps lie channels last."""

MakeLayer = Callable[[int], nn.Module]
SECONDS = 0.03
"""Of one timing."""


def list_public_layers(timm: ModuleType | None) -> dict[str, dict[int, dict[str, MakeLayer]]]:
    """Return by normalizer and rank of its inputs the public layers, by name, that compute the same."""
    batch: dict[int, dict[str, MakeLayer]] = {2: {"torch BatchNorm1d": nn.BatchNorm1d}}
    batch[4] = {"torch BatchNorm2d": nn.BatchNorm2d}
    of_torch: dict[str, dict[int, dict[str, MakeLayer]]] = {
        "batch": batch,
        "tf_layers": batch,
        "tf_nn": batch,
        "slim": batch,
        "layer": {
            2: {"torch LayerNorm": nn.LayerNorm},
            4: {"torch GroupNorm": partial(nn.GroupNorm, 1)},
        },
        "layer_channels": {
            2: {"torch LayerNorm": nn.LayerNorm},
            4: {"torch LayerNorm": lambda features: OverLastAxis(nn.LayerNorm(features))},
        },
        "group": {
            2: {"torch GroupNorm": lambda features: nn.GroupNorm(features // 4, features)},
            4: {"torch GroupNorm": lambda features: nn.GroupNorm(features // 2, features)},
        },
        "instance": {4: {"torch InstanceNorm2d": partial(nn.InstanceNorm2d, affine=True)}},
        "rms": {2: {"torch RMSNorm": partial(nn.RMSNorm, eps=1e-6)}},
        "rms_channels": {
            2: {"torch RMSNorm": partial(nn.RMSNorm, eps=1e-6)},
            4: {"torch RMSNorm": lambda features: OverLastAxis(nn.RMSNorm(features, eps=1e-6))},
        },
        "filter_response": {},
        "evonorm_s0": {},
        "evonorm_b0": {},
    }
    if timm is not None:
        of_torch["layer_channels"][4]["timm LayerNorm2d"] = timm.LayerNorm2d
        of_torch["rms_channels"][4]["timm RmsNorm2d"] = timm.RmsNorm2d
        of_torch["filter_response"][4] = {"timm FilterResponseNormTlu2d": timm.FilterResponseNormTlu2d}
        of_torch["evonorm_s0"][4] = {
            "timm EvoNorm2dS0": lambda features: timm.EvoNorm2dS0(features, groups=features // 2)
        }
        of_torch["evonorm_b0"][4] = {"timm EvoNorm2dB0": timm.EvoNorm2dB0}
    return of_torch


def import_timm() -> ModuleType | None:
    try:
        return import_network_library("timm.layers")
    except ModuleNotFoundError:
        print("the layers of timm are left out, because `make test` has not installed it in .venv/networks")
        return None


def make_normalizer(name: str, shape: tuple[int, ...]) -> nn.Module:
    settings = {"channels_per_group": 4} if name == "group" and len(shape) == 2 else {}
    return normlab.normalizer(name, shape[1], **settings)


def passes_per_second(layer: nn.Module, inputs: Tensor, gradient: Tensor) -> float:
    """Return how often a layer passes inputs forward and gradients backward in a second."""
    variables = [inputs, *layer.parameters()]
    passes, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < SECONDS:
        torch.autograd.grad(layer(inputs), variables, gradient)
        passes += 1
    return passes / seconds


def draw(shape: tuple[int, ...]) -> Tensor:
    values = torch.randn(shape)
    return values.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else values


def compare(name: str, shape: tuple[int, ...], public: Mapping[str, MakeLayer], rounds: int) -> None:
    """Print the ratio to the fastest of some public layers."""
    inputs, gradient = draw(shape).requires_grad_(), draw(shape)
    layers = {"normlab": make_normalizer(name, shape), **{each: make(shape[1]) for each, make in public.items()}}
    sides = {each: partial(passes_per_second, layer, inputs, gradient) for each, layer in layers.items()}
    in_turn(sides, 1)  # what is built at first use
    found = in_turn(sides, rounds)
    ours = found.pop("normlab")
    fastest = max(found, key=lambda each: statistics.median(found[each]))
    told = ratio(ours, found[fastest])
    print(f"{name:<16} {'×'.join(map(str, shape)):<14} {SHAPES[shape]:<16} {fastest:<29} {told}", flush=True)


def main() -> None:
    public = list_public_layers(import_timm())
    names, rounds = read_cases_and_rounds(__doc__, [*public], 9)
    torch.set_num_threads(1)
    keep_freed_memory()  # as in a run
    print_machine("torch")
    print(f"normalizer       inputs         of               fastest public layer    its time ÷ normlab's, of {rounds}")
    for name in names:
        for shape in SHAPES:
            if layers := public[name].get(len(shape)):
                compare(name, shape, layers, rounds)


if __name__ == "__main__":
    main()
