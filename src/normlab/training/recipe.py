"""What a run does around the step of its optimizer: schedule, masks and clipping of gradients, weight decay."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from normlab.config.checks import changes_rate, clips_gradients
from normlab.config.targets import bind, call
from normlab.errors import ConfigurationError
from normlab.models.layers import name_normalizer_parameters, name_output_parameters
from normlab.training.clipping import Clip
from normlab.training.schedules import Schedule

MakeOptimizer = Callable[[Iterable[Any]], Optimizer]
"""From parameters, or groups of them, to an optimizer."""


@dataclass(frozen=True)
class Recipe:
    """How training departs from plain steps of the optimizer; by default in nothing."""

    schedule: Schedule | None = None
    """Of the learning rates."""
    clip: Clip | None = None
    """Of the gradients."""
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    """By the names of parameters, boolean tensors that are true where these stay at their start."""
    outputs: Collection[str] = ()
    """Names of the parameters of the output layer."""
    undecayed: Collection[str] = ()
    """Names of the parameters without weight decay."""

    @property
    def changes_gradients(self) -> bool:
        return self.clip is not None or bool(self.masks)

    def build_optimizer(self, make: MakeOptimizer, parameters: Mapping[str, Tensor]) -> Optimizer:
        """Return an optimizer of parameters by name, of which those without weight decay are a group of their own.

        Raises ValueError if weight decay would move masked weights.
        """
        if self.undecayed:
            decayed = [value for name, value in parameters.items() if name not in self.undecayed]
            others = [value for name, value in parameters.items() if name in self.undecayed]
            optimizer = make([{"params": decayed}, {"params": others, "weight_decay": 0.0}])
        else:
            optimizer = make([*parameters.values()])
        if self.masks and any(group.get("weight_decay") for group in optimizer.param_groups):
            raise ValueError(
                "optimizer.weight_decay would move the weights that trainable=random_subset keeps at their start:"
                " choose optimizer.weight_decay=0"
            )
        return optimizer

    @torch.no_grad()
    def adjust_gradients(self, parameters: Mapping[str, Tensor], stacked: bool = False) -> None:
        """Mask and clip gradients of parameters; `stacked` if these, and the masks, are a population's (members, …)."""
        gradients = {name: value.grad for name, value in parameters.items() if value.grad is not None}
        if not stacked:
            gradients = {name: gradient[None] for name, gradient in gradients.items()}
            parameters = {name: parameters[name][None] for name in gradients}
        for name in self.masks.keys() & gradients.keys():
            gradients[name].masked_fill_(self.masks[name], 0)
        if self.clip is not None:
            self.clip(parameters, gradients, self.outputs)


def bind_optimizer(settings: Mapping[str, Any]) -> MakeOptimizer:
    """Return the maker of a run's optimizer. Raises ConfigurationError."""
    rules = {key: value for key, value in settings["optimizer"].items() if key != "decay_normalizers"}
    return bind({"optimizer": rules}, "optimizer")


def build_recipe(settings: Mapping[str, Any], network: nn.Module) -> Recipe:
    """Return the recipe of a run, whose network, with its initial weights, then needs gradients of what is trained.

    Raises ConfigurationError and ValueError.
    """
    decays = settings["optimizer"].get("decay_normalizers", True)
    if not isinstance(decays, bool):
        raise ConfigurationError(f"optimizer.decay_normalizers={decays!r} has the wrong type: it is true or false")
    schedule, clip = bind(settings, "schedule"), call(settings, "gradient")
    return Recipe(
        schedule=schedule if changes_rate(settings) else None,
        clip=clip if clips_gradients(settings) else None,
        masks=bind(settings, "trainable")(network, settings["seed"]),
        outputs=name_output_parameters(network),
        undecayed=() if decays else name_normalizer_parameters(network),
    )
