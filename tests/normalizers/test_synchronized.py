"""Two processes with a part of a batch each normalize, differentiate and average as one with the whole batch."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from normlab.normalizers import BatchNorm, BatchNormByFormula, get_statistics_batch, synchronize

from ..two_processes import Together, two_processes
from .test_batch_norm_laws import Case, knobs

both_classes = pytest.mark.parametrize("layer_class", [BatchNorm, BatchNormByFormula])
shapes = st.one_of(
    st.tuples(st.integers(2, 12), st.integers(1, 5)),
    st.tuples(st.integers(2, 12), st.integers(1, 5), st.integers(1, 4), st.integers(1, 4)),
)
Seen = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def together() -> Iterator[Together]:
    with two_processes() as together:
        yield together


def passed_through(layer: BatchNorm, inputs: torch.Tensor, towards: torch.Tensor) -> Seen:
    """Train one step's worth: outputs, running averages, and all gradients of sum(outputs · towards)."""
    inputs = inputs.clone().requires_grad_()
    outputs = layer(inputs)
    (outputs * towards).sum().backward()
    assert inputs.grad is not None
    gradients = {f"gradient of {name}": p.grad for name, p in layer.named_parameters() if p.grad is not None}
    return {
        "outputs": outputs.detach(),
        "gradient of inputs": inputs.grad,
        "running_mean": layer.running_mean.clone(),
        "running_var": layer.running_var.clone(),
        **gradients,
    }


def part_passed_through(argument: tuple[BatchNorm, torch.Tensor, torch.Tensor]) -> Seen:
    synchronize(argument[0])
    return passed_through(*argument)


def joined(parts: list[Seen]) -> Seen:
    """Put two processes' views together: examples side by side, parameter gradients summed, averages of both alike."""
    first, second = parts
    whole = {}
    for name in first:
        if name in ("outputs", "gradient of inputs"):
            whole[name] = torch.cat([first[name], second[name]])
        elif name.startswith("gradient"):
            whole[name] = first[name] + second[name]
        else:
            assert torch.equal(first[name], second[name])
            whole[name] = first[name]
    return whole


@both_classes
@settings(deadline=None, max_examples=50)
@given(shape=shapes, knobs=knobs, seed=st.integers(0, 2**32 - 1), data=st.data())
def test_two_parts_of_any_sizes_give_what_the_whole_batch_gives(
    together: Together,
    layer_class: type[BatchNorm],
    shape: tuple[int, ...],
    knobs: dict[str, Any],
    seed: int,
    data: Any,
) -> None:
    case = Case(layer_class, shape, knobs, seed)
    inputs, towards = case.inputs(), case.draw(shape, "towards")
    if len(shape) == 4 or shape[0] > 1:
        cut = data.draw(st.integers(1, shape[0] - 1))
        parts = zip(inputs.tensor_split([cut]), towards.tensor_split([cut]), strict=True)
        found = joined(together(part_passed_through, [(case.layer(), *part) for part in parts]))
        # torch's own autograd through the formulas is the reference for both classes.
        expected = passed_through(case.layer(BatchNormByFormula), inputs, towards)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-7, atol=1e-8)


@both_classes
@pytest.mark.parametrize("averaged_variance", ["unbiased", "biased", "fused"])
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 5, 4)])
def test_one_example_in_each_process_is_enough(
    together: Together, layer_class: type[BatchNorm], averaged_variance: Any, shape: tuple[int, ...]
) -> None:
    inputs = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    layer = layer_class(3, averaged_variance=averaged_variance, momentum=1.0).double()
    found = joined(together(part_passed_through, [(layer, part, torch.ones(())) for part in inputs.chunk(2)]))
    over = [0, *range(2, len(shape))]
    unbiased = averaged_variance == "unbiased" or (averaged_variance == "fused" and len(shape) == 4)
    torch.testing.assert_close(found["running_mean"], inputs.mean(over))
    torch.testing.assert_close(found["running_var"], inputs.var(over, correction=int(unbiased)))


@both_classes
def test_a_large_mean_costs_no_digits_of_the_variance(together: Together, layer_class: type[BatchNorm]) -> None:
    inputs = 1000 + torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    layer = layer_class(3, momentum=1.0)
    found = joined(together(part_passed_through, [(layer, part, torch.ones(())) for part in inputs.chunk(2)]))
    torch.testing.assert_close(found["running_var"].double(), inputs.double().var(0), rtol=2e-5, atol=0)


@both_classes
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("shape", [(64, 3), (16, 3, 5, 4)])
def test_half_precision_goes_in_and_out_while_the_averages_are_float32(
    together: Together, layer_class: type[BatchNorm], half: torch.dtype, shape: tuple[int, ...]
) -> None:
    inputs = (300 + 40 * torch.randn(shape, generator=torch.Generator().manual_seed(0))).to(half)
    towards = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(half)
    parts = zip(inputs.chunk(2), towards.chunk(2), strict=True)
    found = joined(together(part_passed_through, [(layer_class(3, momentum=1.0), *part) for part in parts]))
    expected = passed_through(BatchNormByFormula(3, momentum=1.0).double(), inputs.double(), towards.double())
    for name, value in expected.items():
        kept = name in ("outputs", "gradient of inputs")
        assert found[name].dtype == (half if kept else torch.float32)
        rounding = torch.finfo(found[name].dtype).eps
        torch.testing.assert_close(found[name].double(), value, rtol=rounding, atol=1e-5 * float(value.std()))


def test_the_statistics_of_a_block_are_of_the_whole_batch_where_its_normalizer_is_synchronized() -> None:
    network = nn.ModuleDict({"first": nn.ModuleDict({"normalizer": BatchNorm(2)}), "users": nn.BatchNorm1d(2)})
    assert get_statistics_batch(network, 64, 1) == {"first": 64, "users": 64}
    assert get_statistics_batch(network, 64, 4) == {"first": 16, "users": 16}
    synchronize(network)
    assert get_statistics_batch(network, 64, 4) == {"first": 64, "users": 16}
