"""The learning rate over a run: factors of the optimizer's rates, as pure functions of step and number of steps.

Each takes a step, from 0 to steps − 1, and the number of steps of the run. It has a warm-up, a linear rise to 1 over
the first `warmup` steps, whose factors are (step + 1) / warmup; its own course is that of the rest of the run. So it
equals `torch.optim.lr_scheduler.SequentialLR` of a `LinearLR` and the scheduler of the same name, whose period is that
rest. `final` is the factor that the next step after the last one would have. A warm-up longer than the run raises
ValueError.
"""

import math
from collections.abc import Callable, Sequence

import torch

Schedule = Callable[[int, int], float]
"""From a step, counted from 0, and the number of steps of a run to the factor of the learning rates in that step."""


def constant(step: int, steps: int, warmup: int = 0) -> float:
    """Return 1 after the warm-up."""
    rise, _ = _place(step, steps, warmup)
    return rise


def cosine(step: int, steps: int, warmup: int = 0, final: float = 0.0) -> float:
    """Return half a period of a cosine from 1 to `final`, as `torch.optim.lr_scheduler.CosineAnnealingLR`.

    Source: Loshchilov and Hutter, 2017, arXiv:1608.03983, equation 5, without restarts.
    """
    rise, progress = _place(step, steps, warmup)
    return rise * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)


def linear(step: int, steps: int, warmup: int = 0, final: float = 0.0) -> float:
    """Return a straight line from 1 to `final`, as `torch.optim.lr_scheduler.LinearLR`."""
    rise, progress = _place(step, steps, warmup)
    return rise * (1 - (1 - final) * progress)


def staircase(
    step: int, steps: int, warmup: int = 0, milestones: Sequence[float] = (0.5, 0.75), gamma: float = 0.1
) -> float:
    """Return 1, times gamma from each milestone on, as `torch.optim.lr_scheduler.MultiStepLR`.

    Milestones are parts of the run after the warm-up; the default is that of He et al. (2016, arXiv:1512.03385,
    section 4.2).
    """
    rise, progress = _place(step, steps, warmup)
    passed = sum(progress >= milestone for milestone in milestones)
    return rise * float(gamma**passed)


def _place(step: int, steps: int, warmup: int) -> tuple[float, float]:
    """Return the factor of the warm-up, and which part of the rest of the run is done: 0 until it begins."""
    if not 0 <= warmup <= steps:
        raise ValueError(f"schedule.warmup={warmup} is out of range: choose 0 to {steps}, which is steps")
    if step < warmup:
        return (step + 1) / warmup, 0.0
    return 1.0, (step - warmup) / max(steps - warmup, 1)


class ScheduledRates:
    """The learning rates of an optimizer's parameter groups, which a schedule scales before each step; None does not.

    Raises ValueError if the optimizer has no learning rate, or if the schedule does not fit the number of steps.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, schedule: Schedule | None, steps: int) -> None:
        self.optimizer, self.schedule, self.steps = optimizer, schedule, steps
        # A checkpoint has the rates of its step, so that the initial ones are kept here.
        groups = optimizer.param_groups if schedule is not None else []
        if any("lr" not in group for group in groups):
            raise ValueError(f"{type(optimizer).__name__} has no lr for a schedule to change: choose schedule=constant")
        self.initial = [group["lr"] for group in groups]
        try:
            self.set(0)
        except TypeError as error:
            raise ValueError(f"schedule must give a number for a step and the number of steps: {error}") from error

    def set(self, step: int) -> None:
        """Set the rates of a step, counted from 0."""
        if self.schedule is not None:
            factor = self.schedule(step, self.steps)
            for group, initial in zip(self.optimizer.param_groups, self.initial, strict=True):
                group["lr"] = initial * factor
