"""Laws of batch normalization that hold for all shapes and settings."""

from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from normlab.normalizers import BatchNorm, BatchNormByFormula
from normlab.randomness import generator

of_every_case = settings(deadline=None, max_examples=80)


@dataclass(frozen=True)
class Case:
    """A class with its settings, and a batch that fits it."""

    layer_class: type[BatchNorm]
    shape: tuple[int, ...]
    settings: dict[str, Any]
    seed: int

    @property
    def over(self) -> tuple[int, ...]:
        return (0,) if len(self.shape) == 2 else (0, 2, 3)

    def layer(self, layer_class: type[BatchNorm] | None = None, **changes: Any) -> BatchNorm:
        """Build the layer in double precision, with drawn parameters and running averages."""
        layer = (layer_class or self.layer_class)(self.shape[1], **{**self.settings, **changes}).double()
        with torch.no_grad():
            for name, parameter in layer.named_parameters():
                parameter.copy_(self.draw((self.shape[1],), name))
            layer.running_mean.copy_(self.draw((self.shape[1],), "running_mean"))
            layer.running_var.copy_(self.draw((self.shape[1],), "running_var") ** 2)
        return layer

    def inputs(self, name: str = "inputs") -> Tensor:
        """Draw a batch whose features differ in mean and spread."""
        spread = self.per_channel(self.draw((self.shape[1],), f"spread of {name}").exp())
        return self.draw(self.shape, name) * spread + self.per_channel(self.draw((self.shape[1],), f"mean of {name}"))

    def draw(self, shape: tuple[int, ...], name: str) -> Tensor:
        return torch.randn(shape, generator=generator(self.seed, name), dtype=torch.float64)

    def per_channel(self, values: Tensor) -> Tensor:
        return values if len(self.shape) == 2 else values[:, None, None]


shapes = st.one_of(
    st.tuples(st.integers(2, 16), st.integers(1, 8)),
    st.tuples(st.integers(2, 16), st.integers(1, 8), st.integers(1, 5), st.integers(1, 5)),
)
knobs = st.fixed_dictionaries(
    {
        "momentum": st.floats(0, 1),
        "eps": st.sampled_from([1e-5, 1e-3, 0.1]),
        "averaged_variance": st.sampled_from(["unbiased", "biased", "fused"]),
        "scale": st.booleans(),
        "shift": st.booleans(),
    }
)
cases = st.builds(Case, st.sampled_from([BatchNorm, BatchNormByFormula]), shapes, knobs, seed=st.integers(0, 2**31 - 1))


def assert_close(actual: Tensor, expected: Tensor, tolerance: float = 1e-8) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@given(cases)
@of_every_case
def test_fused_kernels_and_formulas_agree_in_outputs_gradients_and_buffers(case: Case) -> None:
    seen = []
    for layer_class in (BatchNorm, BatchNormByFormula):
        layer, inputs = case.layer(layer_class), case.inputs().requires_grad_()
        outputs = layer(inputs)
        loss = (outputs * case.draw(case.shape, "factors")).sum()
        gradients = torch.autograd.grad(loss, [inputs, *layer.parameters()])
        inference = layer.eval()(inputs)
        seen.append([outputs, inference, *gradients, layer.running_mean, layer.running_var])

    for fused, formula in zip(*seen, strict=True):
        assert_close(fused, formula)


@given(cases)
@of_every_case
def test_a_normalized_batch_has_mean_zero_and_the_variance_that_eps_leaves(case: Case) -> None:
    layer, inputs = case.layer(scale=False, shift=False), case.inputs()

    outputs = layer(inputs)

    variance = inputs.var(dim=case.over, correction=0)
    assert_close(outputs.mean(dim=case.over), torch.zeros(case.shape[1], dtype=torch.float64))
    assert_close(outputs.var(dim=case.over, correction=0), variance / (variance + layer.eps))


@given(cases)
@of_every_case
def test_a_constant_added_to_a_channel_changes_the_running_mean_alone(case: Case) -> None:
    constant = case.draw((case.shape[1],), "constant")
    plain, shifted = case.layer(), case.layer()

    outputs = plain(case.inputs())
    of_shifted = shifted(case.inputs() + case.per_channel(constant))

    assert_close(of_shifted, outputs)
    assert_close(shifted.running_var, plain.running_var)
    assert_close(shifted.running_mean - plain.running_mean, plain.momentum * constant)


@given(cases)
@of_every_case
def test_a_positive_factor_of_a_channel_cancels_where_eps_is_scaled_along(case: Case) -> None:
    plain, scaled = case.layer(), case.layer(eps=9 * case.settings["eps"])

    assert_close(scaled(3 * case.inputs()), plain(case.inputs()))


@given(cases, st.floats(-2, 3))
@of_every_case
def test_in_inference_the_output_is_an_affine_function_of_the_input(case: Case, share: float) -> None:
    layer = case.layer().eval()
    one, other = case.inputs("one"), case.inputs("other")

    mixed = layer(share * one + (1 - share) * other)

    assert_close(mixed, share * layer(one) + (1 - share) * layer(other))


@given(cases)
@of_every_case
def test_in_inference_an_example_is_normalized_alike_whatever_batch_it_is_in(case: Case) -> None:
    layer, inputs = case.layer().eval(), case.inputs()

    assert_close(torch.cat([layer(example[None]) for example in inputs]), layer(inputs), tolerance=1e-12)


@given(cases)
@of_every_case
def test_permuting_the_batch_permutes_the_output_and_leaves_the_averages_as_they_are(case: Case) -> None:
    order = torch.randperm(case.shape[0], generator=generator(case.seed, "order"))
    plain, permuted = case.layer(), case.layer()

    outputs = plain(case.inputs())
    of_permuted = permuted(case.inputs()[order])

    assert_close(of_permuted, outputs[order])
    assert_close(permuted.running_mean, plain.running_mean)
    assert_close(permuted.running_var, plain.running_var)


@given(cases)
@of_every_case
def test_permuting_the_pixels_alike_in_all_images_permutes_the_output(case: Case) -> None:
    maps = case.inputs() if len(case.shape) == 4 else case.inputs()[:, :, None, None]
    order = torch.randperm(maps.shape[3], generator=generator(case.seed, "order"))

    assert_close(case.layer()(maps[..., order]), case.layer()(maps)[..., order])


@given(cases)
@of_every_case
def test_with_momentum_one_the_averages_are_those_of_the_last_batch(case: Case) -> None:
    layer = case.layer(momentum=1.0, averaged_variance="biased")

    layer(case.inputs("an earlier batch"))
    layer(case.inputs())

    assert_close(layer.running_mean, case.inputs().mean(dim=case.over))
    assert_close(layer.running_var, case.inputs().var(dim=case.over, correction=0))


@given(cases)
@of_every_case
def test_with_momentum_zero_the_averages_stay_as_they_are(case: Case) -> None:
    layer, untouched = case.layer(momentum=0.0), case.layer(momentum=0.0)

    layer(case.inputs())

    assert torch.equal(layer.running_mean, untouched.running_mean)
    assert_close(layer.running_var, untouched.running_var, tolerance=1e-14)


@given(cases)
@of_every_case
def test_the_running_variance_never_becomes_negative(case: Case) -> None:
    layer = case.layer()

    layer(torch.full(case.shape, 1e3, dtype=torch.float64))

    assert (layer.running_var >= 0).all()
