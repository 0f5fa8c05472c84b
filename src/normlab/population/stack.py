"""Networks that differ in their seed alone, trained together: stacked weights, one vectorized update for all."""

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from normlab.training.cuda_graph import CapturedUpdate
from normlab.training.module import Classifier


class Population:
    """Makes the updates of several classifiers at once, each with its own weights, buffers and batches.

    All weights with one name are one tensor with the members along its first axis, of which each member's own
    weights are views. So whatever observes, scores or keeps a member sees its network as if it trained alone.

    Losses and gradients of all members come from one pass, vectorized over the members by `torch.func.vmap`. The
    optimizer is the ordinary one over stacked weights, right for all that treat every weight by itself.

    Args:
        members: in training mode, at the same update, on one device, whose batches come from the same images.

    Raises:
        ValueError: where what the members hold cannot be stacked.
    """

    def __init__(self, members: Sequence[Classifier]) -> None:
        self.members = members
        self.stop_asked = False
        """Whether training is to end after the update under way."""
        first = members[0]
        if len({member.updates for member in members}) > 1:
            raise ValueError("the members have not made the same number of updates")
        self.parameters = _stacked([dict(member.network.named_parameters()) for member in members])
        self.buffers = _stacked([dict(member.network.named_buffers()) for member in members])
        self.optimizer = first.optimizer_for(self.parameters.values())  # type: ignore[arg-type]  # leaves, as parameters are

        def loss_of_one(
            parameters: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor, labels: Tensor
        ) -> Tensor:
            return first.objective(functional_call(first.network, (parameters, buffers), (images,)), labels)

        self._losses = vmap(loss_of_one)
        self._make_update: Callable[[Tensor], Tensor] = self.update
        if first.batches.split.images.is_cuda:
            self._make_update = CapturedUpdate(self.update, self.optimizer)
        self._stack_optimizer_states()

    def train(self, steps: range) -> Tensor:
        """Make one update of every member for each step, until `stop_asked`; then note which members diverged.

        Returns the losses (members, updates), each before its update. A member that diverged stays in the stack,
        where it touches no other one; its count of updates stays at the one whose loss was not finite.
        """
        losses = []
        for step in steps:
            losses.append(self._make_update(torch.stack([member.batches.indices(step) for member in self.members])))
            if self.stop_asked:
                break
        by_member = torch.stack(losses, dim=1)
        for member, told in zip(self.members, by_member.cpu(), strict=True):
            if member.diverged_at is None:
                member.updates += len(losses)
                member.has_diverged(told)
        return by_member

    def update(self, indices: Tensor) -> Tensor:
        """Make one update of every member.

        Args:
            indices: (members, B), which training images each member's batch consists of.

        Returns:
            The loss of each member (members,), before the update.
        """
        first = self.members[0]
        images, labels = first.batches.examples(indices)
        self.optimizer.zero_grad()
        with first.forward_context():
            losses = self._losses(self.parameters, self.buffers, images, labels)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        detached: Tensor = losses.detach()
        return detached

    def ask_to_stop(self) -> None:
        """End training after the update under way."""
        self.stop_asked = True

    def hand_out_optimizer_states(self) -> None:
        """Give each member's own optimizer its part of the state, for a checkpoint."""
        for name, stacked in self.parameters.items():
            state = self.optimizer.state[stacked]
            for number, member in enumerate(self.members):
                member.optimizer.state[member.network.get_parameter(name)] = {
                    key: value[number].clone() if _is_of_weights(key, value) else copy.deepcopy(value)
                    for key, value in state.items()
                }

    def _stack_optimizer_states(self) -> None:
        """Take over what the members' own optimizers hold, where they come from a checkpoint."""
        states = {}
        for number, name in enumerate(self.parameters):
            by_member = [member.optimizer.state[member.network.get_parameter(name)] for member in self.members]
            states[number] = {
                key: torch.stack([state[key] for state in by_member]) if _is_of_weights(key, value) else value
                for key, value in by_member[0].items()
            }
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": states, "param_groups": groups})


def _is_of_weights(key: str, value: object) -> bool:
    """Whether an entry of an optimizer's state belongs to weights; torch, too, knows the count of steps by its name."""
    return key != "step" and isinstance(value, Tensor)


def _stacked(by_member: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return name → the members' tensors stacked (members, …), and make these views of it."""
    stacks = {}
    for name, first in by_member[0].items():
        values = [tensors[name] for tensors in by_member]
        stack = torch.stack([value.detach() for value in values])
        for value, own in zip(values, stack, strict=True):
            value.data = own
        stacks[name] = stack.requires_grad_(first.requires_grad)
    return stacks
