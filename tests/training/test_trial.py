"""The trial of an objective on two examples before anything is written."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import normlab
from normlab.data import NextToken, Split, Splits
from normlab.errors import ConfigurationError
from normlab.training.losses import sigmoid_cross_entropy, softmax_cross_entropy
from normlab.training.trial import try_objective

TOKENS = torch.tensor([[0, 3, 1], [4, 1, 0], [2, 2, 2]])
EXAMPLES = Split(TOKENS, TOKENS)
TEXT = Splits(EXAMPLES, EXAMPLES, EXAMPLES, NextToken())


def cross_entropy_of_classes(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(logits, targets)


def loss_per_position(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")


@pytest.mark.parametrize("objective", [softmax_cross_entropy, sigmoid_cross_entropy])
def test_a_loss_over_examples_and_positions_passes(objective: Callable[[Tensor, Tensor], Tensor]) -> None:
    shapes = []

    def score(logits: Tensor, targets: Tensor) -> Tensor:
        shapes.append((logits.shape, targets.shape))
        return objective(logits, targets)

    try_objective(score, TEXT)
    assert shapes == [((2, 3, 5), (2, 3))]


@pytest.mark.parametrize(
    ("objective", "found"),
    [(cross_entropy_of_classes, "raises RuntimeError: "), (loss_per_position, r"returns shape \(2, 3\)")],
)
def test_one_that_cannot_score_the_task_is_refused_with_function_and_file(
    objective: Callable[[Tensor, Tensor], Tensor], found: str
) -> None:
    message = (
        rf"objective: {objective.__name__} \(.*test_trial.py\) must return the mean loss of logits \(2, 3, 5\) and"
        rf" targets \(2, 3\), a scalar, but {found}"
    )
    with pytest.raises(ValueError, match=message):
        try_objective(objective, TEXT)


class KeepsNumpy(nn.Identity):
    def __init__(self, num_features: int) -> None:
        super().__init__()

    def get_extra_state(self) -> Any:
        return np.float64(0.5)

    def set_extra_state(self, state: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("group", "settings", "message"),
    [
        ("optimizer", {"_target_": "torch.optim.LBFGS"}, "a training step .* fails: TypeError: .*closure"),
        ("optimizer", {"_target_": "torch.optim.SparseAdam"}, "a training step .* does not support dense gradients"),
        (
            "normalizer",
            {"_target_": f"{__name__}.KeepsNumpy"},
            "hidden.0.normalizer._extra_state in the state of the network, float64, cannot be read from a checkpoint",
        ),
    ],
)
def test_what_fails_in_every_step_or_checkpoint_fails_before_anything_is_written(
    tmp_path: Path, group: str, settings: dict[str, Any], message: str
) -> None:
    run = normlab.compose("data=digits", "steps=5", f"output_root={tmp_path}")
    run = replace(run, settings={**run.settings, group: settings})
    with pytest.raises(ConfigurationError, match=message):
        normlab.train(run)
    assert list(tmp_path.iterdir()) == []


def test_an_optimizer_that_calls_a_closure_trains_batch_by_batch(tmp_path: Path) -> None:
    inert = "+callbacks.inert._target_=pytorch_lightning.Callback"
    run = normlab.compose("data=digits", "steps=5", f"output_root={tmp_path}", inert)
    run = replace(run, settings={**run.settings, "optimizer": {"_target_": "torch.optim.LBFGS", "lr": 0.1}})
    assert normlab.train(run).status == "finished"
