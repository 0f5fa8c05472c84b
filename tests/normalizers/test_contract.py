"""The contract of a normalizer (`normlab.normalizers.Normalizer`), asked of every choice of the config group."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import normlab
from normlab.config.compose import compose
from normlab.models.layers import list_normalizers
from normlab.population.check import reason_not_vectorizable
from normlab.population.stack import Stack
from normlab.training.build import build

from ..choices import choices_of
from ..resumption import assert_equal, assert_resumes_exactly

FEATURES = 6
SHAPES = [(8, FEATURES), (8, FEATURES, 5), (8, FEATURES, 4, 3)]

every_choice = pytest.mark.parametrize("choice", choices_of("normalizer"))
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=["(N, C)", "(N, C, L)", "(N, C, H, W)"])


def batches(shape: tuple[int, ...], count: int = 3) -> list[Tensor]:
    draws = torch.Generator().manual_seed(len(shape))
    return [2 * torch.randn(shape, generator=draws) + 1 for _ in range(count)]


def build_or_skip(choice: str, shape: tuple[int, ...]) -> nn.Module:
    """Return a normalizer in training mode; skip if it says that it does not support inputs of this rank."""
    layer = normlab.normalizer(choice, FEATURES)
    try:
        copy.deepcopy(layer)(*batches(shape, 1))
    except ValueError as error:
        pytest.skip(f"{choice} does not support this rank: {error}")
    return layer


@every_choice
@every_shape
@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
def test_outputs_have_the_shape_of_the_inputs_and_every_gradient_is_finite(
    choice: str, shape: tuple[int, ...], training: bool
) -> None:
    layer = build_or_skip(choice, shape).train(training)
    (inputs,) = batches(shape, 1)
    outputs = layer(inputs.requires_grad_())
    assert outputs.shape == inputs.shape
    outputs.square().sum().backward()
    for tensor in (inputs, *layer.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()


@every_choice
@every_shape
def test_gradients_are_those_of_finite_differences(choice: str, shape: tuple[int, ...]) -> None:
    layer = build_or_skip(choice, shape).double()
    (inputs,) = batches((4, *shape[1:]), 1)
    # Every pass starts from the same state, without which noise or a schedule would be another function each time.
    assert torch.autograd.gradcheck(lambda x: copy.deepcopy(layer)(x), (inputs.double().requires_grad_(),))


@every_choice
@every_shape
def test_in_inference_an_example_does_not_depend_on_the_others_and_nothing_is_averaged(
    choice: str, shape: tuple[int, ...]
) -> None:
    layer = build_or_skip(choice, shape)
    for batch in batches(shape):
        layer(batch)
    layer.eval()
    before = copy.deepcopy(layer.state_dict())
    (inputs,) = batches(shape, 1)
    alone = torch.cat([layer(example) for example in torch.split(inputs, 1)])
    torch.testing.assert_close(layer(inputs), alone)
    assert_equal(layer.state_dict(), before)


@every_choice
@every_shape
def test_an_empty_batch_has_an_empty_output_in_inference(choice: str, shape: tuple[int, ...]) -> None:
    layer = build_or_skip(choice, shape).eval()
    (inputs,) = batches((0, *shape[1:]), 1)
    assert layer(inputs).shape == inputs.shape


@every_choice
@every_shape
def test_the_state_is_all_that_a_copy_needs_to_go_on_with_the_same_bits(choice: str, shape: tuple[int, ...]) -> None:
    layer, other = build_or_skip(choice, shape), normlab.normalizer(choice, FEATURES)
    first, *rest = batches(shape)
    layer(first)
    other(first)
    other.load_state_dict(copy.deepcopy(layer.state_dict()))
    for batch in rest:
        assert torch.equal(layer(batch), other(batch))
    assert_equal(layer.state_dict(), other.state_dict())


def settings_of(choice: str, seed: int = 0) -> Any:
    return compose(
        *("data=digits", "model=convnet", "model.channels=[4,4]", "model.kernel_sizes=[3,3]"),
        *(f"normalizer={choice}", f"seed={seed}", "steps=8", "optimizer.lr=0.01"),
    ).settings


@every_choice
def test_a_run_resumed_from_its_checkpoint_ends_with_the_same_bits(choice: str) -> None:
    assert_resumes_exactly(settings_of(choice))


@every_choice
def test_it_is_trained_in_a_population_as_alone_or_the_reason_is_given(choice: str) -> None:
    together, alone = ([build(settings_of(choice, seed)).module.train() for seed in (0, 1)] for _ in range(2))
    reason = reason_not_vectorizable(together)
    if reason is not None:
        assert "\n" not in reason
        return
    Stack(together).train(range(4))
    for one, other in zip(together, alone, strict=True):
        for step in range(4):
            other.step(step)
        states = other.network.state_dict()
        for name, value in one.network.state_dict().items():
            torch.testing.assert_close(value, states[name], rtol=1e-4, atol=1e-5)


@every_choice
def test_its_initial_values_depend_on_seed_and_name_alone(choice: str) -> None:
    deep, shallow = (
        dict(list_normalizers(build({**settings_of(choice), "model": model}).module.network))
        for model in (
            {**settings_of(choice)["model"], "channels": [4] * depth, "kernel_sizes": [3] * depth} for depth in (2, 1)
        )
    )
    for name, layer in shallow.items():
        assert_equal(layer.state_dict(), deep[name].state_dict())
