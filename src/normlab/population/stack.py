"""Networks that differ in their seed alone, trained together: stacked weights, one vectorized step for all."""

import copy
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from normlab.models.layers import list_linear_maps
from normlab.training.checkpoints import lay_like
from normlab.training.cuda_graph import GraphedStep
from normlab.training.module import TrainingModule
from normlab.training.schedules import ScheduledRates

SHORTEST_TRANSPOSED_SIDE = 16
"""Of the weight of a dense layer; down to it MKL rounds a product with a transposed matrix as with the other one."""


class Stack:
    """Makes the steps of several modules at once, each with its own weights, buffers and batches.

    All weights with one name are one tensor with the members along its first axis, of which each member's own
    weights are views. So whatever observes, scores or keeps a member sees its network as if it trained alone.

    Losses and gradients of all members come from one pass, vectorized over the members by `torch.func.vmap`. The
    optimizer is the ordinary one over stacked weights, right for all that treat every weight by itself.

    Args:
        members: in training mode, at the same step, on one device, with batches from the same split.

    Raises:
        ValueError: the members' weights or buffers cannot be stacked.
    """

    def __init__(self, members: Sequence[TrainingModule]) -> None:
        self.members = members
        first = members[0]
        if len({member.steps_done for member in members}) > 1:
            raise ValueError("the members have not done the same number of steps")
        parameters = [dict(member.network.named_parameters()) for member in members]
        self.parameters = _stack(parameters, transposed=_name_large_dense_weights(first.network))
        self.buffers = _stack([dict(member.network.named_buffers()) for member in members])
        masks = {name: torch.stack([member.recipe.masks[name] for member in members]) for name in first.recipe.masks}
        self.recipe = replace(first.recipe, masks=masks)
        self.optimizer = self.recipe.build_optimizer(first.make_optimizer, self.parameters)
        self.rates = ScheduledRates(self.optimizer, self.recipe.schedule, first.batches.steps)

        def loss_of_one(
            parameters: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor, targets: Tensor
        ) -> Tensor:
            return first.objective(functional_call(first.network, (parameters, buffers), (inputs,)), targets)

        # vmap calls attention's kernel once for each member, which takes no longer than matrix products for all.
        warnings.filterwarnings("ignore", "There is a performance drop because we have not yet implemented")
        self._losses = vmap(loss_of_one)
        self._step: Callable[[Tensor], Tensor] = self.step
        if first.batches.split.inputs.is_cuda and self.recipe.schedule is None:  # a graph would record the rate
            self._step = GraphedStep(self.step, self.optimizer)
        self._stack_optimizer_states()

    @property
    def should_stop(self) -> bool:
        """Whether training ends after the latest step: all members diverged, or a stop was requested."""
        return all(member.should_stop for member in self.members)

    def train(self, steps: range) -> Tensor:
        """Make some steps of every member, until training should stop; then note which members diverged.

        Returns the losses (members, steps), each before its update. A member that diverged stays in the stack, where
        it affects no other; its count of steps stays at the one whose loss was not finite.
        """
        losses = []
        for step in steps:
            self.rates.set(step)
            losses.append(self._step(torch.stack([member.batches.indices(step) for member in self.members])))
            if self.should_stop:
                break
        by_member = torch.stack(losses, dim=1)
        for member, member_losses in zip(self.members, by_member.cpu(), strict=True):
            if member.diverged_at is None:
                member.steps_done += len(losses)
                member.note_divergence(member_losses)
        return by_member

    def step(self, indices: Tensor) -> Tensor:
        """Make one step of every member.

        Args:
            indices: (members, B), positions of the training examples in each member's batch.

        Returns:
            The loss of each member (members,), before the update.
        """
        first = self.members[0]
        inputs, targets = first.batches.examples(indices)
        self.optimizer.zero_grad()
        with first.forward_context():
            losses = self._losses(self.parameters, self.buffers, inputs, targets)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        self.recipe.adjust_gradients(self.parameters, stacked=True)
        self.optimizer.step()
        detached: Tensor = losses.detach()
        return detached

    def distribute_optimizer_state(self) -> None:
        """Give each member's own optimizer its part of the state, for a checkpoint."""
        for name, stacked in self.parameters.items():
            state = self.optimizer.state[stacked]
            for number, member in enumerate(self.members):
                member.optimizer.state[member.network.get_parameter(name)] = {
                    key: value[number].clone() if _is_of_weights(key, value) else copy.deepcopy(value)
                    for key, value in state.items()
                }

    def _stack_optimizer_states(self) -> None:
        """Stack the states of the members' own optimizers, which hold something after a checkpoint was restored."""
        states = {}
        names = {stacked: name for name, stacked in self.parameters.items()}
        in_groups = [stacked for group in self.optimizer.param_groups for stacked in group["params"]]
        for number, stacked in enumerate(in_groups):
            name = names[stacked]
            by_member = [member.optimizer.state[member.network.get_parameter(name)] for member in self.members]
            states[number] = {
                key: lay_like(torch.stack([state[key] for state in by_member]), stacked)
                if _is_of_weights(key, value)
                else value
                for key, value in by_member[0].items()
            }
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": states, "param_groups": groups})


def _is_of_weights(key: str, value: object) -> bool:
    """Whether an entry of an optimizer's state has one value per weight; the step count is known by its name."""
    return key != "step" and isinstance(value, Tensor)


def _name_large_dense_weights(network: nn.Module) -> set[str]:
    """Return the names of the weights of dense layers that are worth transposing in memory.

    Small ones are not, and the products with them would be rounded differently.
    """
    return {
        f"{name}.weight"
        for name, layer in list_linear_maps(network)
        if isinstance(layer, nn.Linear) and min(layer.in_features, layer.out_features) >= SHORTEST_TRANSPOSED_SIDE
    }


def _stack(by_member: Sequence[Mapping[str, Tensor]], transposed: Collection[str] = ()) -> dict[str, Tensor]:
    """Return name → the members' tensors stacked (members, …), and make these views of the stack.

    Args:
        by_member: name → tensor of each member.
        transposed: names of matrices whose columns, not rows, are to be contiguous in memory. The gradient of a stack
            of dense layers is laid out like that; unless its weights are too, every update copies it.
    """
    stacks = {}
    for name, first in by_member[0].items():
        values = [tensors[name] for tensors in by_member]
        if name in transposed:
            stack = torch.stack([value.detach().mT for value in values]).mT
        else:
            stack = torch.stack([value.detach() for value in values])
        for value, own in zip(values, stack, strict=True):
            value.data = own
        stacks[name] = stack.requires_grad_(first.requires_grad)
    return stacks
