"""Tasks: the checks of their examples and the arguments of their models."""

import re

import pytest
import torch

from normlab.data import NextToken, Split, Splits
from normlab.data.preprocessing import Standardize, Unit, fit_preprocessing

TOKENS = torch.tensor([[0, 3, 1], [4, 1, 0]])
NEXT = torch.tensor([[3, 1, 5], [1, 0, 2]])


class Text:
    task = NextToken()
    train = val = test = (TOKENS, NEXT)


def test_a_model_of_tokens_gets_the_size_of_the_vocabulary_and_the_context() -> None:
    splits = Splits.of(Text())
    assert splits.task.describe(*splits.train) == {"vocabulary_size": 6, "context": 3}


@pytest.mark.parametrize(
    ("inputs", "targets", "found"),
    [
        (TOKENS, NEXT[:, :2], "torch.int64 of shape (2, 3) and torch.int64 of shape (2, 2)"),
        (TOKENS.float(), NEXT, "torch.float32 of shape (2, 3) and torch.int64 of shape (2, 3)"),
        (TOKENS[0], NEXT[0], "torch.int64 of shape (3,) and torch.int64 of shape (3,)"),
    ],
)
def test_sequences_of_another_shape_or_type_are_refused(
    inputs: torch.Tensor, targets: torch.Tensor, found: str
) -> None:
    source = Text()
    source.val = (inputs, targets)
    message = f"val tokens and next tokens must be integers of one shape (N, T), got {found}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Splits.of(source)


def test_tokens_of_an_unsigned_type_that_torch_hardly_supports_are_refused() -> None:
    source = Text()
    source.train = (TOKENS.to(torch.uint16), NEXT)
    with pytest.raises(ValueError, match=r"^train tokens are torch\.uint16, .*: convert them to int64$"):
        Splits.of(source)


def test_a_task_that_lacks_a_member_is_refused_with_class_and_file() -> None:
    class Ranking:
        def check(self, inputs: torch.Tensor, targets: torch.Tensor) -> None: ...

    source = Text()
    source.task = Ranking()  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"Ranking \(.*test_tasks.py\) lacks describe, .* normlab.data.tasks"):
        Splits.of(source)


def test_tokens_of_a_small_integer_type_reach_the_network_as_int64() -> None:
    few = Split(TOKENS.to(torch.uint8), NEXT)
    assert torch.equal(fit_preprocessing(Unit(), few, NextToken())(few.inputs), TOKENS)


def test_tokens_cannot_be_preprocessed() -> None:
    with pytest.raises(ValueError, match="inputs of NextToken have no features to preprocess"):
        fit_preprocessing(Standardize(), Split(TOKENS, NEXT), NextToken())
