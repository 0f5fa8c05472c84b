"""A forward pass through a new network, before it is trained: lazy parameters get their shapes, outputs are checked."""

from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from normlab.contracts import locate
from normlab.models.layers import list_normalizers


class ShapeError(ValueError):
    """A normalizer or a network that returns another shape than it has to."""


def dry_run(network: nn.Module, inputs: Tensor, logits_shape: tuple[int, ...]) -> None:
    """Pass two examples through a network in evaluation mode; what it draws affects no random stream.

    An error that a module raises itself is ignored unless it leaves lazy parameters without a shape: training
    meets it again, and records it with its traceback.

    Args:
        network: left in training mode.
        inputs: (2, …).
        logits_shape: (2, …, K).

    Raises:
        ShapeError: the normalizer of a `Block` changes the shape of its inputs, or the network returns other logits
            than (2, …, K); the message names class and file.
        ValueError: lazy parameters get no shape.
    """
    handles = [layer.register_forward_hook(_require_same_shape) for _, layer in list_normalizers(network)]
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            _require_shape(network, network.eval()(inputs), logits_shape, "logits (N, …, K)")
    except ShapeError:
        raise
    except Exception as error:
        if has_lazy_tensors(network):
            raise ValueError(f"{locate(network)} has lazy parameters without a shape: {error}") from error
    finally:
        network.train()
        for handle in handles:
            handle.remove()


def has_lazy_tensors(network: nn.Module) -> bool:
    """Whether parameters or buffers of a network have no shape yet."""
    return any(map(is_lazy, chain(network.parameters(), network.buffers())))


def describe_outputs(outputs: object) -> str:
    """Return the shape of a tensor or the type of anything else, for messages."""
    return f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__


def _require_same_shape(normalizer: nn.Module, inputs: tuple[Any, ...], outputs: object) -> None:
    _require_shape(normalizer, outputs, tuple(inputs[0].shape), "the shape of its inputs")


def _require_shape(module: nn.Module, outputs: object, expected: tuple[int, ...], meaning: str) -> None:
    if not isinstance(outputs, Tensor) or tuple(outputs.shape) != expected:
        raise ShapeError(
            f"{locate(module)} must return {meaning}, here {expected}, but returns {describe_outputs(outputs)}"
        )
