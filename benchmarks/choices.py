"""What choices gain that make an update faster and mean nothing to a result: each against the same update without it.

They hold for one version of PyTorch and one kind of processor. Where a ratio is no longer above 1, the choice can go.

Command: python benchmarks/choices.py (about 4 minutes on two cores)
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from loop_by_hand import UNOBSERVED, loop_by_hand, read_run
from paired import in_turn, print_machine, ratio, rounds_asked_for
from plain_networks import (
    with_channels_first,
    with_convolutions_of_one_place,
    with_pooling_after_relu,
    with_pytorchs_kernel,
)
from torch import nn

UPDATES = {"deep_cnn": 100, "convnet": 400}
"""Experiment → updates of one timing, some seconds."""


class Choice(NamedTuple):
    """One choice, where it is tried, and how it is undone."""

    name: str
    experiment: str
    normalizers: tuple[str, ...]
    threads: int = 1
    undone: Callable[[nn.Module], None] | None = None
    undone_by: tuple[str, ...] = ()


CHOICES = [
    Choice("channels last", "deep_cnn", ("none", "tf_layers"), undone=with_channels_first),
    Choice("channels last", "convnet", ("none", "slim"), undone=with_channels_first),
    Choice("dense where a kernel has one place", "deep_cnn", ("none",), undone=with_convolutions_of_one_place),
    Choice("pooling before ReLU", "convnet", ("none", "slim"), undone=with_pooling_after_relu),
    Choice("normalizing rows", "deep_cnn", ("tf_layers",), undone=with_pytorchs_kernel),
    Choice("normalizing rows", "convnet", ("slim",), undone=with_pytorchs_kernel),
    Choice("normalizing rows", "deep_cnn", ("tf_layers",), 2, with_pytorchs_kernel),
    Choice("normalizing rows", "convnet", ("slim",), 2, with_pytorchs_kernel),
    Choice("fused Adam", "deep_cnn", ("none",), undone_by=("optimizer.fused=false",)),
]


def updates(choice: Choice, normalizer: str, undone: bool) -> float:
    """Return the updates per second with a choice, or without it."""
    run = read_run(
        f"experiment={choice.experiment}",
        f"normalizer={normalizer}",
        f"steps={UPDATES[choice.experiment]}",
        f"accelerator.threads={choice.threads}",
        *UNOBSERVED,
        *(choice.undone_by if undone else ()),
    )
    return loop_by_hand(run.settings, choice.undone if undone else None)


def main() -> None:
    rounds = rounds_asked_for(__doc__, 5)
    print_machine("torch")
    print(f"choice                              network   normalizer threads  updates with ÷ without it, of {rounds}")
    for choice in CHOICES:
        for normalizer in choice.normalizers:
            sides = {
                "with": partial(updates, choice, normalizer, undone=False),
                "without": partial(updates, choice, normalizer, undone=True),
            }
            found = in_turn(sides, rounds)
            told = ratio(found["with"], found["without"])
            print(f"{choice.name:<35} {choice.experiment:<9} {normalizer:<10} {choice.threads:>7}  {told}", flush=True)


if __name__ == "__main__":
    main()
