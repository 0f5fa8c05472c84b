"""The losses against their formulas in NumPy, and at values known by hand."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from normlab.randomness import generator
from normlab.training.losses import sigmoid_cross_entropy, softmax_cross_entropy

Objective = Callable[[Tensor, Tensor], Tensor]
Array = NDArray[np.float64]

both = pytest.mark.parametrize("objective", [softmax_cross_entropy, sigmoid_cross_entropy])


def softmax_by_hand(logits: Array, labels: NDArray[np.int64]) -> float:
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return float(-np.log(shares[np.arange(len(labels)), labels]).mean())


def sigmoid_by_hand(logits: Array, labels: NDArray[np.int64]) -> float:
    one_hot = np.eye(logits.shape[1])[labels]
    shares = 1 / (1 + np.exp(-logits))
    return float(-(one_hot * np.log(shares) + (1 - one_hot) * np.log(1 - shares)).mean())


def drawn(examples: int, classes: int) -> tuple[Tensor, Tensor]:
    logits = 3 * torch.randn(examples, classes, generator=generator(0, "logits"), dtype=torch.float64)
    return logits, torch.randint(classes, (examples,), generator=generator(0, "labels"))


@pytest.mark.parametrize(
    ("objective", "by_hand"), [(softmax_cross_entropy, softmax_by_hand), (sigmoid_cross_entropy, sigmoid_by_hand)]
)
@pytest.mark.parametrize(("examples", "classes"), [(1, 2), (7, 10), (64, 10), (5, 3)])
def test_an_objective_follows_its_formula(
    objective: Objective, by_hand: Callable[[Array, NDArray[np.int64]], float], examples: int, classes: int
) -> None:
    logits, labels = drawn(examples, classes)

    loss = objective(logits, labels)

    assert loss.shape == ()
    assert loss.item() == pytest.approx(by_hand(logits.numpy(), labels.numpy()), rel=1e-12)


@pytest.mark.parametrize(
    ("objective", "at_the_start"), [(softmax_cross_entropy, math.log(10)), (sigmoid_cross_entropy, 0.6931)]
)
def test_logits_of_zero_cost_what_knowing_nothing_costs(objective: Objective, at_the_start: float) -> None:
    assert objective(torch.zeros(6, 10), torch.arange(6)).item() == pytest.approx(at_the_start, abs=5e-5)


def test_knowing_the_shares_of_ten_balanced_classes_costs_0_325_with_sigmoids() -> None:
    logits = torch.full((10, 10), math.log(0.1 / 0.9), dtype=torch.float64)

    assert sigmoid_cross_entropy(logits, torch.arange(10)).item() == pytest.approx(0.325083, abs=5e-7)


@both
def test_sure_and_right_costs_nothing_and_sure_and_wrong_costs_much(objective: Objective) -> None:
    logits = torch.tensor([[50.0, -50.0, -50.0]])

    assert objective(logits, torch.tensor([0])).item() == pytest.approx(0, abs=1e-6)
    assert objective(logits, torch.tensor([1])).item() > 30


@both
@pytest.mark.parametrize("size", [1e3, 1e4])
def test_large_logits_give_a_finite_loss_with_finite_gradients(objective: Objective, size: float) -> None:
    logits = torch.tensor([[size, -size, 0.0]], requires_grad=True)

    loss = objective(logits, torch.tensor([1]))

    assert torch.isfinite(loss)
    assert torch.isfinite(torch.autograd.grad(loss, logits)[0]).all()


@given(smoothing=st.floats(0, 1), classes=st.integers(2, 6))
@settings(deadline=None)
def test_smoothed_labels_are_mixed_with_even_ones(smoothing: float, classes: int) -> None:
    logits, labels = drawn(7, classes)
    one_hot = torch.eye(classes, dtype=torch.float64)[labels]
    targets = [one_hot + smoothing * (even - one_hot) for even in (1 / classes, 0.5)]
    softmax = torch.nn.functional.cross_entropy(logits, targets[0])
    sigmoid = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets[1])
    torch.testing.assert_close(softmax_cross_entropy(logits, labels, smoothing), softmax, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(sigmoid_cross_entropy(logits, labels, smoothing), sigmoid, rtol=1e-12, atol=1e-14)


def test_the_gradient_of_the_softmax_objective_is_share_minus_target() -> None:
    logits, labels = drawn(7, 10)

    gradient = torch.autograd.grad(softmax_cross_entropy(logits.requires_grad_(), labels), logits)[0]

    target = torch.eye(10, dtype=torch.float64)[labels]
    torch.testing.assert_close(gradient, (logits.detach().softmax(dim=1) - target) / 7)


def test_the_gradient_of_the_sigmoid_objective_is_share_minus_target_over_examples_and_classes() -> None:
    logits, labels = drawn(7, 10)

    gradient = torch.autograd.grad(sigmoid_cross_entropy(logits.requires_grad_(), labels), logits)[0]

    target = torch.eye(10, dtype=torch.float64)[labels]
    torch.testing.assert_close(gradient, (logits.detach().sigmoid() - target) / 70)


@both
def test_the_loss_of_a_batch_is_the_mean_over_its_examples(objective: Objective) -> None:
    logits, labels = drawn(7, 10)

    one_by_one = [objective(logits[i : i + 1], labels[i : i + 1]).item() for i in range(7)]

    assert objective(logits, labels).item() == pytest.approx(np.mean(one_by_one), rel=1e-12)


@both
def test_the_loss_has_the_precision_of_the_logits(objective: Objective) -> None:
    logits, labels = drawn(7, 10)

    assert objective(logits, labels).dtype == torch.float64
    assert objective(logits.float(), labels).dtype == torch.float32
