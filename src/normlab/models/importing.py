"""Any network, of torchvision, timm or one's own, with its normalization layers replaced by a normalizer."""

import inspect
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from normlab.contracts import locate
from normlab.models.layers import NormalizerFactory
from normlab.models.replacing import replace_normalizations

SWITCHES = ("inplace", "activation_relu_or_gelu", "use_nested_tensor")
"""Attributes of modules that are set to False. An activation in place would overwrite the input of `torch.nn.Identity`;
the fast path of `torch.nn.TransformerEncoder` and its layers in inference reads the weights of its own `LayerNorm`."""


class ImportedNetwork(nn.Module):
    """A network whose normalization layers are replaced (see `normlab.models.replacing`).

    Grey images are repeated to three channels if the first convolution does not take one.

    Args:
        normalizer: from a number of features to a layer.
        network: builds the network. It is passed those of the next four arguments that it takes and does not have yet.
            One that is not passed `num_classes` gets a new last `torch.nn.Linear` if that has other outputs.
        input_shape, num_classes: (C, H, W) and K of images.
        vocabulary_size, context: K and T of tokens.
        replace: names of the classes to replace; none for all whose name says that they normalize.
        initialize: draw the weights of `torch.nn.Linear` and `Conv2d` as in other networks; normalizers start as there.
            Otherwise all parameters start as the network has them, trained or drawn, for every normalizer.

    Raises:
        ValueError: `network` builds none, its first convolution takes other channels than the images have, or a layer
            cannot be replaced.
    """

    replaced: dict[str, str]
    """Name of each layer → what became of it."""

    def __init__(
        self,
        normalizer: NormalizerFactory,
        network: "partial[Any]",
        input_shape: Sequence[int] = (),
        num_classes: int = 0,
        vocabulary_size: int = 0,
        context: int = 0,
        replace: Sequence[str] = (),
        initialize: bool = False,
    ) -> None:
        super().__init__()
        described = {"input_shape": tuple(input_shape), "num_classes": num_classes}
        described |= {"vocabulary_size": vocabulary_size, "context": context}
        given = {name: value for name, value in described.items() if value and _takes(network, name)}
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(torch.initial_seed())  # so that it matters not what else has been drawn
            self.network = network(**given)
            if not isinstance(self.network, nn.Module):
                raise ValueError(
                    f"{locate(network.func)} returns no torch.nn.Module: choose another model.network._target_"
                )
            for module in self.network.modules():
                drawn = initialize and isinstance(module, nn.Linear | nn.Conv2d)
                setattr(module, "keeps_values", not drawn)  # noqa: B010  # nn.Module's type hides plain attributes
                for switch in SWITCHES:
                    if hasattr(module, switch):
                        setattr(module, switch, False)
            self.replaced = replace_normalizations(self, normalizer, replace or (), takes_over=not initialize)
        self.repeats_grey = bool(input_shape) and self._repeats_grey(input_shape[0])
        if num_classes and "num_classes" not in given:
            self._fit_output(num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs (N, …) to logits (N, …, K)."""
        logits: Tensor = self.network(inputs.expand(-1, 3, -1, -1) if self.repeats_grey else inputs)
        return logits

    def _repeats_grey(self, channels: int) -> bool:
        """Return whether images need three channels instead of one."""
        convolutions = [(name, part) for name, part in self.named_modules() if isinstance(part, nn.Conv2d)]
        for name, first in convolutions[:1]:
            if first.in_channels % 3 == 0 and channels == 1:
                return True
            if first.in_channels % channels:  # a multiple may come from pixels that the network moves into channels
                raise ValueError(
                    f"{name} takes {first.in_channels} channels, and the images have {channels}: set the argument"
                    f" of the network for their number, such as +model.network.in_chans={channels} for timm's"
                )
        return False

    def _fit_output(self, num_classes: int) -> None:
        linear = [(name, part) for name, part in self.named_modules() if isinstance(part, nn.Linear)]
        for name, last in linear[-1:]:
            if last.out_features != num_classes:
                self.set_submodule(name, nn.Linear(last.in_features, num_classes, bias=last.bias is not None))
                self.replaced[name] = f"{last.out_features} → {num_classes} outputs"


def _takes(network: "partial[Any]", name: str) -> bool:
    parameters = inspect.signature(network.func).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    return name not in network.keywords and (name in parameters or (takes_any and name == "num_classes"))
