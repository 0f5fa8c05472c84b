"""Updates of a shipped network timed against a plain loop with the same starting weights and batches."""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
from paired import in_turn, print_machine, ratio, rounds_asked_for
from torch import Tensor, nn

from normlab.config.compose import compose
from normlab.training.build import build
from normlab.training.module import TrainingModule

Train = Callable[[nn.Module, Iterable[tuple[Tensor, Tensor]], torch.optim.Optimizer], Tensor]
"""A plain loop: makes an update for each batch, and returns the losses."""

UPDATES = 10
"""Of one timing."""


def compare(description: str | None, plain: Mapping[str, Callable[[], nn.Module]], train: Train) -> None:
    """Print for each list of overrides the updates per second of both sides, and the largest difference of losses."""
    rounds = rounds_asked_for(description, 5)
    print_machine("torch")
    print(f"{'':<78}   normlab      plain  normlab ÷ plain, median of {rounds}  losses differ by")
    for overrides, make_network in plain.items():
        module = build(compose("data=digits", "optimizer.lr=0.01", *overrides.split()).settings).module.train()
        network = make_network()
        copy_parameters(module.network, network)
        optimizer = module.make_optimizer(network.parameters())
        ours = partial(take_steps, module)
        theirs = partial(train, network, [module.batches.batch(step) for step in range(UPDATES)], optimizer)
        apart = float((ours() - theirs()).abs().max())
        found = in_turn({"normlab": partial(time_updates, ours), "plain": partial(time_updates, theirs)}, rounds)
        speeds = "  ".join(f"{max(values):>7.1f}/s" for values in found.values())
        print(f"{overrides:<78} {speeds}  {ratio(found['normlab'], found['plain'])}  {apart:.0e}", flush=True)


@torch.no_grad()
def copy_parameters(source: nn.Module, target: nn.Module) -> None:
    """Copy the parameters of a network to another one that defines those of one rank in the same order."""
    for rank in (0, 1, 2, 4):
        ones, others = ([each for each in network.parameters() if each.ndim == rank] for network in (source, target))
        for one, other in zip(ones, others, strict=True):
            other.copy_(one)


def take_steps(module: TrainingModule) -> Tensor:
    """Make the updates on the first batches; return the losses before them."""
    return torch.stack([module.step(step) for step in range(UPDATES)])


def time_updates(update: Callable[[], Tensor]) -> float:
    """Return updates per second."""
    start = time.perf_counter()
    update()
    return UPDATES / (time.perf_counter() - start)
