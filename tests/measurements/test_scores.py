"""Scores in inference mode: exact, whatever the batches, and without a trace on the network."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from normlab.data.batches import Batch
from normlab.data.splits import Split, Splits
from normlab.data.tasks import Classification, Metric, NextToken
from normlab.measurements.contract import Objective
from normlab.measurements.scores import (
    BATCH_SIZE,
    BatchScore,
    OneByOneScore,
    SplitScore,
    inference_mode,
    iterate_split,
    score,
)
from normlab.models import ConvNet
from normlab.normalizers import BatchNorm
from normlab.randomness import generator
from normlab.training.losses import sigmoid_cross_entropy, softmax_cross_entropy

IMAGES = 23
TASK = Classification()


@pytest.fixture
def split() -> Split:
    stream = generator(0, "split")
    images = torch.randint(256, (IMAGES, 1, 8, 8), generator=stream, dtype=torch.uint8)
    return Split(images, torch.randint(10, (IMAGES,), generator=stream))


def in_double_precision(images: Tensor) -> Tensor:
    return TASK.prepare(images).double()


@pytest.fixture
def network(split: Split) -> ConvNet:
    """A network whose running averages differ from the statistics of any batch."""
    network = ConvNet((1, 8, 8), 10, BatchNorm).double()
    network(in_double_precision(split.inputs[:5]))
    return network


def batch(logits: list[list[float]], labels: list[int]) -> Batch:
    return torch.tensor(logits), torch.tensor(labels)


def test_accuracy_is_the_share_of_examples_whose_largest_logit_is_the_right_one() -> None:
    batches = [
        batch([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]], [0, 2]),
        batch([[-1.0, -2.0, -3.0]], [1]),
        batch([[0.0, 5.0, 0.0], [0.0, 5.0, 0.0], [9.0, 5.0, 0.0]], [1, 2, 0]),
    ]

    assert score(nn.Identity(), softmax_cross_entropy, TASK, batches)["accuracy"] == 4 / 6


def test_tokens_are_scored_position_by_position() -> None:
    logits = torch.tensor([[[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]])
    tokens = torch.tensor([[1, 0, 0], [1, 1, 1]])
    found = score(nn.Identity(), softmax_cross_entropy, NextToken(), [(logits, tokens)])
    assert found["accuracy"] == 3 / 6
    shares = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(axis=-1, keepdims=True)
    expected = -np.log(np.take_along_axis(shares, tokens.numpy()[..., None], axis=-1)).mean()
    assert found["loss"] == pytest.approx(expected, rel=1e-6)


def test_the_loss_counts_every_example_the_same_in_batches_of_different_sizes() -> None:
    def first_logit(logits: Tensor, _labels: Tensor) -> Tensor:
        return logits[:, 0].mean()

    batches = [batch([[1.0, 0.0]], [0]), batch([[3.0, 0.0], [4.0, 0.0], [5.0, 0.0]], [0, 0, 1])]

    assert score(nn.Identity(), first_logit, TASK, batches) == {"loss": 3.25, "accuracy": 0.75}


@pytest.mark.parametrize("objective", [softmax_cross_entropy, sigmoid_cross_entropy])
@pytest.mark.parametrize("size", [1, 2, 7, 22, 1000])
def test_a_score_does_not_depend_on_the_size_of_the_batches(
    network: ConvNet, split: Split, objective: Objective, size: int
) -> None:
    in_batches = score(network, objective, TASK, iterate_split(split, in_double_precision, size))
    at_once = score(network, objective, TASK, iterate_split(split, in_double_precision, IMAGES))

    assert in_batches["loss"] == pytest.approx(at_once["loss"], rel=1e-12)
    assert in_batches["accuracy"] == at_once["accuracy"]


def test_a_score_equals_loss_and_accuracy_of_one_pass_in_inference_mode(network: ConvNet, split: Split) -> None:
    scored = score(network, softmax_cross_entropy, TASK, iterate_split(split, in_double_precision, 4))

    with torch.no_grad():
        logits = network.eval()(in_double_precision(split.inputs)).numpy()
    labels = split.targets.numpy()
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert scored["loss"] == pytest.approx(-np.log(shares[np.arange(IMAGES), labels]).mean(), rel=1e-12)
    assert scored["accuracy"] == (logits.argmax(axis=1) == labels).mean()


def test_a_score_in_training_mode_would_have_been_another(network: ConvNet, split: Split) -> None:
    scored = score(network, softmax_cross_entropy, TASK, iterate_split(split, in_double_precision))

    in_training = softmax_cross_entropy(network(in_double_precision(split.inputs)), split.targets).item()

    assert abs(scored["loss"] - in_training) > 1e-3


@pytest.mark.parametrize("training", [True, False])
def test_scoring_leaves_mode_parameters_and_buffers_as_they_were(
    network: ConvNet, split: Split, training: bool
) -> None:
    network.train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}

    score(network, softmax_cross_entropy, TASK, iterate_split(split, in_double_precision, 5))

    assert all(module.training is training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_comes_back_after_an_error(network: ConvNet, split: Split, training: bool) -> None:
    network.train(training)

    def broken(_logits: Tensor, _labels: Tensor) -> Tensor:
        raise KeyError

    with pytest.raises(KeyError):
        score(network, broken, TASK, iterate_split(split, in_double_precision))

    assert network.training is training
    assert torch.is_grad_enabled()


def test_inference_mode_takes_no_gradients_and_lets_them_be_taken_afterwards(network: ConvNet) -> None:
    images = torch.rand(2, 1, 8, 8, dtype=torch.float64)

    with inference_mode(network):
        assert not any(module.training for module in network.modules())
        assert not network(images).requires_grad

    assert network(images).requires_grad


@pytest.mark.parametrize(("size", "sizes"), [(1, [1] * 23), (10, [10, 10, 3]), (23, [23]), (100, [23])])
def test_passes_yield_the_whole_split_in_its_order(split: Split, size: int, sizes: list[int]) -> None:
    passes = list(iterate_split(split, TASK.prepare, size))

    assert [len(labels) for _, labels in passes] == sizes
    assert torch.equal(torch.cat([images for images, _ in passes]), split.inputs.float() / 255)
    assert torch.equal(torch.cat([labels for _, labels in passes]), split.targets)


def test_a_pass_is_as_large_as_the_constant_says() -> None:
    images = torch.zeros(BATCH_SIZE + 1, 1, 1, 1, dtype=torch.uint8)
    split = Split(images, torch.zeros(BATCH_SIZE + 1, dtype=torch.int64))

    assert [len(labels) for _, labels in iterate_split(split, TASK.prepare)] == [BATCH_SIZE, 1]


def test_a_module_that_was_frozen_in_inference_mode_stays_so() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    network[1].eval()
    with inference_mode(network):
        assert not network[0].training
    assert network[0].training
    assert not network[1].training


def test_an_accuracy_is_as_fine_as_its_examples_and_that_of_guessing_is_one_over_the_classes(split: Split) -> None:
    splits = Splits(split, split, Split(split.inputs[:20], split.targets[:20]))
    found: dict[str, SplitScore | BatchScore | OneByOneScore] = {
        "test/accuracy": SplitScore("test", splits),
        "train_batch/accuracy": BatchScore("train_batch", splits, 8),
        "test_batch/accuracy": BatchScore("test_batch", splits, 64),
        "test/one_by_one_accuracy": OneByOneScore(5, splits),
    }
    guess = 1 / (int(split.targets.max()) + 1)
    examples = (20, 8, 20, 5)
    for (name, measurement), count in zip(found.items(), examples, strict=True):
        assert measurement.metrics[name] == Metric("higher", 0.0, 1.0, guess, 1 / count), name
    assert found["test/accuracy"].metrics["test/loss"] == Metric("lower")
