"""A run that is stopped halfway and resumed from its checkpoint, against one that was not."""

from typing import Any

import torch
from torch import Tensor

from normlab.training.build import build
from normlab.training.checkpoints import capture_state, restore


def assert_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Compare states to the last bit."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]) if isinstance(value, Tensor) else value == other[name]


def assert_resumes_exactly(settings: dict[str, Any]) -> None:
    """Train 8 steps with these settings, and 4 steps twice with a checkpoint between them."""
    whole, first, second = (build(settings).module for _ in range(3))
    for step in range(8):
        whole.step(step)
    for step in range(4):
        first.step(step)
    restore(second, {**capture_state(first)})
    for step in range(4, 8):
        second.step(step)
    assert_equal(second.network.state_dict(), whole.network.state_dict())
