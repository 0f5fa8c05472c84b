"""The trial of an objective on two examples before anything is written."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from normlab.data import NextToken, Split, Splits
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
