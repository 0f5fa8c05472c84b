"""Whether networks can be trained together: two of them are, for two updates, beside the same updates made alone."""

import copy
from collections.abc import Sequence

import torch

from normlab.data.batches import BatchStream
from normlab.population.stack import Population
from normlab.training.module import Classifier

UPDATES = 2
"""The second starts from what the first left: running averages, and the optimizer's state."""

TOLERANCE = 1e-7
"""Of float64 arithmetic, where an optimizer that divides by small gradients blows rounding up."""


def why_not_together(members: Sequence[Classifier]) -> str | None:
    """Return why these classifiers cannot be trained as a `Population`, in words; None where they can.

    So whatever a user brings is judged by what it does: a network with data-dependent control flow, a layer that
    draws random numbers or puts new tensors in the place of its buffers, an optimizer that looks at a whole weight
    at once.
    The trial works on copies in float64, in which the two ways agree to rounding, and leaves the members alone.
    """
    alone, together = ([_in_float64(member) for member in members[:2]] for _ in range(2))
    steps = range(members[0].updates, members[0].updates + UPDATES)
    try:
        Population(together).train(steps)
        if members[0].autocast_type is not None:  # of which some kernels know less
            Population([_copy(member, member.batches) for member in members[:2]]).train(steps)
    except Exception as error:
        return in_one_line(error)
    for member in alone:
        for step in steps:
            member.update(step)
    for one, other in zip(alone, together, strict=True):
        others = other.network.state_dict()
        for name, value in one.network.state_dict().items():
            if not torch.allclose(value, others[name], rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
                return f"after {UPDATES} updates {name} is another than that of a network trained alone"
    return None


def in_one_line(error: BaseException) -> str:
    """Return type and first line of an exception, of which those of torch may have many."""
    first, *_ = [*str(error).strip().splitlines(), ""]
    return f"{type(error).__name__}: {first}"


def _in_float64(member: Classifier) -> Classifier:
    batches = copy.copy(member.batches)
    batches.preprocess = lambda images: member.batches.preprocess(images).double()
    copied = _copy(member, batches)
    copied.network.double()
    copied.autocast_type = None
    return copied


def _copy(member: Classifier, batches: BatchStream) -> Classifier:
    """Return a copy of a classifier at the same update, with an optimizer that starts anew."""
    copied = Classifier(copy.deepcopy(member.network), member.objective, member.optimizer_for, batches)
    copied.autocast_type = member.autocast_type
    copied.updates = member.updates
    return copied
