"""What choices gain that make an update faster and mean nothing to a result: each against the same update without it.

They hold for one version of PyTorch and one kind of processor. Where a ratio is no longer above 1, the choice can go.

Command: python benchmarks/choices.py (about 4 minutes on two cores)
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from loop_by_hand import settings_for
from paired import in_turn, print_machine, ratio, rounds_asked_for
from plain_networks import (
    with_channels_outermost,
    with_convolutions_of_one_place,
    with_pooling_after_relu,
    with_sums_by_threads,
)
from torch import nn

from normlab.assembly import assemble

SECONDS = 2.0
"""Of one timing, about."""


class Choice(NamedTuple):
    """One choice, where it is tried, and how it is undone."""

    name: str
    experiment: str
    normalizers: tuple[str, ...]
    threads: int = 1
    undone: Callable[[nn.Module], None] | None = None
    undone_by: tuple[str, ...] = ()


CHOICES = [
    Choice("channels innermost", "deep_cnn", ("none", "tf_layers"), undone=with_channels_outermost),
    Choice("channels innermost", "convnet", ("none", "slim"), undone=with_channels_outermost),
    Choice("dense where a kernel has one place", "deep_cnn", ("none",), undone=with_convolutions_of_one_place),
    Choice("pooling before ReLU", "convnet", ("none", "slim"), undone=with_pooling_after_relu),
    Choice("copy before sums by threads", "deep_cnn", ("tf_layers",), 2, with_sums_by_threads),
    Choice("copy before sums by threads", "convnet", ("slim",), 2, with_sums_by_threads),
    Choice("fused Adam", "deep_cnn", ("none",), undone_by=("optimizer.fused=false",)),
]


def updates(choice: Choice, normalizer: str, undone: bool) -> Callable[[], float]:
    """Return a function that makes updates for some seconds, and returns how many it made in one."""
    overrides = choice.undone_by if undone else ()
    settings, _ = settings_for(choice.experiment, normalizer, f"accelerator.threads={choice.threads}", *overrides)
    parts = assemble(settings)
    network = parts.network.train()
    if undone and choice.undone is not None:
        choice.undone(network)
    optimizer = parts.optimizer(network.parameters())

    def timing() -> float:
        torch.set_num_threads(choice.threads)
        start, made = time.perf_counter(), 0
        while time.perf_counter() - start < SECONDS:
            images, labels = parts.batches.batch(made)
            optimizer.zero_grad()
            parts.objective(network(images), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            made += 1
        return made / (time.perf_counter() - start)

    return timing


def main() -> None:
    rounds = rounds_asked_for(__doc__, 5)
    print_machine("torch")
    print(f"choice                              network   normalizer threads  updates with ÷ without it, of {rounds}")
    for choice in CHOICES:
        for normalizer in choice.normalizers:
            sides = {
                "with": updates(choice, normalizer, undone=False),
                "without": updates(choice, normalizer, undone=True),
            }
            for timing in sides.values():
                timing()  # the first updates are slower
            found = in_turn(sides, rounds)
            told = ratio(found["with"], found["without"])
            print(f"{choice.name:<35} {choice.experiment:<9} {normalizer:<10} {choice.threads:>7}  {told}", flush=True)


if __name__ == "__main__":
    main()
