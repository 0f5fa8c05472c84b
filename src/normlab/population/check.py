"""Find out whether networks can be trained as a stack: train two of them for two steps, stacked and alone."""

import copy
from collections.abc import Sequence
from typing import Any

import torch

from normlab.data.batches import BatchStream
from normlab.population.stack import Stack
from normlab.training.module import TrainingModule

STEPS = 2
"""The second starts from the running averages and the optimizer's state that the first leaves."""

TOLERANCE = 1e-7
"""Of float64 arithmetic: an optimizer that divides by small gradients amplifies rounding."""


def reason_not_vectorizable(members: Sequence[TrainingModule]) -> str | None:
    """Return why these modules cannot be trained as a `Stack`, in one line; None if they can.

    A user's own code is judged by its effect: a network with data-dependent control flow, a layer that draws random
    numbers or replaces its buffers by new tensors, an optimizer that looks at a whole weight at once. The check works
    on copies in float64, in which both ways agree up to rounding, and leaves the members unchanged.
    """
    alone, stacked = ([_copy_in_float64(member) for member in members[:2]] for _ in range(2))
    steps = range(members[0].steps_done, members[0].steps_done + STEPS)
    try:
        Stack(stacked).train(steps)
        if members[0].autocast_type is not None:  # which fewer kernels support
            Stack([_copy(member, member.batches) for member in members[:2]]).train(steps)
    except Exception as error:
        return summarize_error(error)
    for member in alone:
        for step in steps:
            member.step(step)
    for one, other in zip(alone, stacked, strict=True):
        others = other.network.state_dict()
        for name, value in one.network.state_dict().items():
            if not _is_close(value, others[name]):
                return f"after {STEPS} steps {name} differs from that of a network trained alone"
    return None


def _is_close(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    return bool(one == other)  # extra state


def summarize_error(error: BaseException) -> str:
    """Return type and first line of an exception; messages of torch may have many."""
    first, *_ = [*str(error).strip().splitlines(), ""]
    return f"{type(error).__name__}: {first}"


def _copy_in_float64(member: TrainingModule) -> TrainingModule:
    batches = copy.copy(member.batches)
    batches.preprocess = lambda inputs: _to_float64(member.batches.preprocess(inputs))
    copied = _copy(member, batches)
    copied.network.double()
    copied.autocast_type = None
    return copied


def _to_float64(inputs: torch.Tensor) -> torch.Tensor:
    return inputs.double() if inputs.is_floating_point() else inputs  # tokens stay integers


def _copy(member: TrainingModule, batches: BatchStream) -> TrainingModule:
    """Return a copy of a module at the same step, with a new optimizer."""
    copied = TrainingModule(
        copy.deepcopy(member.network), member.objective, member.make_optimizer, batches, recipe=member.recipe
    )
    copied.autocast_type = member.autocast_type
    copied.steps_done = member.steps_done
    return copied
