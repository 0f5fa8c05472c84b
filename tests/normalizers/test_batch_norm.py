"""Batch normalization against its worked example, PyTorch's layers, formulas in NumPy, and the published set-ups."""

import math
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from normlab.normalizers import BatchNorm, BatchNormByFormula
from normlab.randomness import generator

from ..choices import normalizer_named

FEATURES = 3
SHAPES = {"2-D": (8, FEATURES), "4-D": (4, FEATURES, 5, 6)}

both_classes = pytest.mark.parametrize("layer_class", [BatchNorm, BatchNormByFormula])
both_ranks = pytest.mark.parametrize("rank", SHAPES)

Array = NDArray[np.float64]


def random_batches(rank: str, count: int = 20, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Return batches whose features differ in mean and spread."""
    stream = generator(0, f"batches {rank}")
    per_channel = (1, FEATURES) + (1,) * (len(SHAPES[rank]) - 2)
    spread = torch.tensor([0.5, 1.0, 3.0], dtype=dtype).reshape(per_channel)
    offset = torch.tensor([-2.0, 0.0, 5.0], dtype=dtype).reshape(per_channel)
    return [torch.randn(SHAPES[rank], generator=stream, dtype=dtype) * spread + offset for _ in range(count)]


def over(values: Array) -> tuple[int, ...]:
    return (0,) if values.ndim == 2 else (0, 2, 3)


def per_channel(values: Array, like: Array) -> Array:
    return values.reshape((1, -1) + (1,) * (like.ndim - 2))


def array(values: Tensor) -> Array:
    converted: Array = values.detach().double().numpy()
    return converted


@both_classes
def test_the_worked_example_normalizes_every_column_to_the_published_digits(layer_class: type[BatchNorm]) -> None:
    layer = layer_class(3, eps=1e-5)

    outputs = layer(torch.arange(15.0).reshape(5, 3))

    column = torch.tensor([-1.4142132, -0.7071066, 0.0, 0.7071066, 1.4142132])
    torch.testing.assert_close(outputs, column[:, None].expand(5, 3), rtol=0, atol=2e-7)


@both_classes
def test_the_worked_example_averages_its_mean_and_variance(layer_class: type[BatchNorm]) -> None:
    layer = layer_class(3, momentum=0.9, averaged_variance="biased", initial_variance=0.0)

    layer(torch.arange(15.0).reshape(5, 3))

    torch.testing.assert_close(layer.running_mean, 0.9 * torch.tensor([6.0, 7.0, 8.0]))
    torch.testing.assert_close(layer.running_var, 0.9 * torch.tensor([18.0, 18.0, 18.0]))


def trained(layer: nn.Module, batches: Sequence[Tensor], learning_rate: float = 0.1) -> list[tuple[str, Tensor]]:
    """Train a layer by SGD towards fixed random targets; return all there is to see, step by step, then inference."""
    targets = generator(0, "targets")
    seen: list[tuple[str, Tensor]] = []
    parameters = dict(layer.named_parameters())
    for step, batch in enumerate(batches):
        inputs = batch.clone().requires_grad_()
        target = torch.randn(batch.shape, generator=targets, dtype=batch.dtype)
        outputs = layer(inputs)
        gradients = torch.autograd.grad(((outputs - target) ** 2).mean(), [inputs, *parameters.values()])
        seen.append((f"outputs of step {step}", outputs.detach()))
        for name, gradient in zip(["inputs", *parameters], gradients, strict=True):
            seen.append((f"gradient of {name} in step {step}", gradient))
        with torch.no_grad():
            for parameter, gradient in zip(parameters.values(), gradients[1:], strict=True):
                parameter.sub_(learning_rate * gradient)
        for name, value in layer.state_dict().items():
            if name not in ("num_batches_tracked", "updates", "noise_seed"):
                seen.append((f"{name} after step {step}", value.clone()))
    layer.eval()
    seen += [("outputs in inference", layer(batch).detach()) for batch in batches]
    return seen


def torch_layer(rank: str, **settings: Any) -> nn.Module:
    layer_class = nn.BatchNorm1d if rank == "2-D" else nn.BatchNorm2d
    return layer_class(FEATURES, **settings)


def assert_same_training(ours: nn.Module, reference: nn.Module, batches: Sequence[Tensor], atol: float) -> None:
    for (name, value), (expected_name, expected) in zip(
        trained(ours, batches), trained(reference, batches), strict=True
    ):
        assert name == expected_name
        torch.testing.assert_close(value, expected, rtol=atol, atol=atol, msg=partial("{}: {}".format, name))


@both_classes
@both_ranks
@pytest.mark.parametrize(
    "settings",
    [{}, {"momentum": 0.9}, {"momentum": 0.0}, {"momentum": 1.0}, {"eps": 1e-3}, {"momentum": 0.001, "eps": 0.1}],
    ids=str,
)
def test_training_and_inference_match_the_layer_of_pytorch(
    layer_class: type[BatchNorm], rank: str, settings: dict[str, Any]
) -> None:
    ours = layer_class(FEATURES, **settings).double()

    assert_same_training(ours, torch_layer(rank, **settings).double(), random_batches(rank), atol=1e-11)


@both_classes
@both_ranks
def test_without_scale_and_shift_it_matches_the_layer_of_pytorch_without_affine(
    layer_class: type[BatchNorm], rank: str
) -> None:
    ours = layer_class(FEATURES, scale=False, shift=False).double()

    assert list(ours.parameters()) == []
    assert_same_training(ours, torch_layer(rank, affine=False).double(), random_batches(rank), atol=1e-11)


@both_classes
def test_fused_averaging_of_feature_maps_matches_the_layer_of_pytorch(layer_class: type[BatchNorm]) -> None:
    ours = layer_class(FEATURES, averaged_variance="fused").double()

    assert_same_training(ours, nn.BatchNorm2d(FEATURES).double(), random_batches("4-D"), atol=1e-11)


@both_ranks
def test_in_single_precision_the_fused_layer_equals_the_layer_of_pytorch_to_the_last_bit(rank: str) -> None:
    batches = random_batches(rank, dtype=torch.float32)

    assert_same_training(BatchNorm(FEATURES), torch_layer(rank), batches, atol=0.0)


@pytest.fixture(params=[1, 2], ids="{} threads".format)
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@both_classes
def test_channels_last_in_memory_change_nothing_with_one_thread_or_more(
    layer_class: type[BatchNorm], threads: int
) -> None:
    batches = random_batches("4-D")
    channels_last = [batch.contiguous(memory_format=torch.channels_last) for batch in batches]
    expected = trained(nn.BatchNorm2d(FEATURES).double(), batches)

    for (name, value), (_, other) in zip(trained(layer_class(FEATURES).double(), channels_last), expected, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-11, atol=1e-11, msg=partial("{}: {}".format, name))


@both_ranks
def test_in_single_precision_the_formula_comes_close_to_the_layer_of_pytorch(rank: str) -> None:
    batches = random_batches(rank, dtype=torch.float32)

    assert_same_training(BatchNormByFormula(FEATURES), torch_layer(rank), batches, atol=1e-4)


@both_classes
@both_ranks
def test_a_checkpoint_of_the_layer_of_pytorch_loads(layer_class: type[BatchNorm], rank: str) -> None:
    reference = torch_layer(rank).double()
    trained(reference, random_batches(rank))
    ours = layer_class(FEATURES).double()

    missing, unexpected = ours.load_state_dict(reference.state_dict(), strict=False)

    assert (missing, unexpected) == ([], ["num_batches_tracked"])
    inputs = random_batches(rank)[0]
    torch.testing.assert_close(ours.eval()(inputs), reference.eval()(inputs))


def averages_by_hand(
    batches: Sequence[Tensor], momentum: float, correction: int, initial_variance: float
) -> tuple[Array, Array]:
    mean, variance = np.zeros(FEATURES), np.full(FEATURES, initial_variance)
    for batch in map(array, batches):
        mean = (1 - momentum) * mean + momentum * batch.mean(axis=over(batch))
        variance = (1 - momentum) * variance + momentum * batch.var(axis=over(batch), ddof=correction)
    return mean, variance


@both_classes
@pytest.mark.parametrize("momentum", [0.001, 0.1, 0.9, 1.0])
@pytest.mark.parametrize("initial_variance", [0.0, 1.0, 2.5])
@pytest.mark.parametrize(
    ("averaged_variance", "rank", "correction"),
    [
        ("unbiased", "2-D", 1),
        ("unbiased", "4-D", 1),
        ("biased", "2-D", 0),
        ("biased", "4-D", 0),
        ("fused", "2-D", 0),
        ("fused", "4-D", 1),
    ],
)
def test_the_running_averages_follow_the_recurrence_with_the_chosen_variance(
    layer_class: type[BatchNorm],
    momentum: float,
    initial_variance: float,
    averaged_variance: Any,
    rank: str,
    correction: int,
) -> None:
    layer = layer_class(
        FEATURES, momentum, averaged_variance=averaged_variance, initial_variance=initial_variance
    ).double()
    batches = random_batches(rank)

    for batch in batches:
        layer(batch)

    mean, variance = averages_by_hand(batches, momentum, correction, initial_variance)
    np.testing.assert_allclose(array(layer.running_mean), mean, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(array(layer.running_var), variance, rtol=1e-12)


@both_classes
@pytest.mark.parametrize(("shape", "values"), [((2, FEATURES), 2), ((8, FEATURES), 8), ((2, FEATURES, 3, 1), 6)])
def test_unbiased_and_biased_averages_differ_by_n_over_n_minus_one(
    layer_class: type[BatchNorm], shape: tuple[int, ...], values: int
) -> None:
    biased = layer_class(FEATURES, momentum=1.0, averaged_variance="biased").double()
    unbiased = layer_class(FEATURES, momentum=1.0, averaged_variance="unbiased").double()
    inputs = torch.randn(shape, generator=generator(0, "inputs"), dtype=torch.float64)

    biased(inputs)
    unbiased(inputs)

    torch.testing.assert_close(
        unbiased.running_var / biased.running_var, torch.full((3,), values / (values - 1.0)).double()
    )


@both_classes
@both_ranks
def test_the_averaged_variance_changes_nothing_but_the_running_variance(
    layer_class: type[BatchNorm], rank: str
) -> None:
    biased = trained(layer_class(FEATURES, averaged_variance="biased").double(), random_batches(rank))
    unbiased = trained(layer_class(FEATURES, averaged_variance="unbiased").double(), random_batches(rank))

    for (name, one), (_, other) in zip(biased, unbiased, strict=True):
        may_differ = name.startswith(("running_var", "outputs in inference"))
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-13) is not may_differ, name


@both_classes
@both_ranks
@pytest.mark.parametrize(("scale", "shift"), [(True, True), (True, False), (False, True), (False, False)])
def test_only_the_wanted_parameters_exist_and_enter_the_output(
    layer_class: type[BatchNorm], rank: str, scale: bool, shift: bool
) -> None:
    layer = layer_class(FEATURES, scale=scale, shift=shift).double()
    gamma, beta = np.array([0.5, -2.0, 3.0]), np.array([1.0, 0.0, -4.0])
    for parameter, values in ((layer.weight, gamma), (layer.bias, beta)):
        if parameter is not None:
            parameter.data = torch.from_numpy(values)
    inputs = random_batches(rank)[0]
    x = array(inputs)

    outputs = layer(inputs)

    expected = (x - x.mean(axis=over(x), keepdims=True)) / np.sqrt(x.var(axis=over(x), keepdims=True) + 1e-5)
    expected = expected * per_channel(gamma, x) if scale else expected
    expected = expected + per_channel(beta, x) if shift else expected
    assert [name for name, _ in layer.named_parameters()] == ["weight"] * scale + ["bias"] * shift
    np.testing.assert_allclose(array(outputs), expected, rtol=1e-11, atol=1e-11)


@both_classes
def test_scale_starts_at_one_and_shift_at_zero(layer_class: type[BatchNorm]) -> None:
    layer = layer_class(FEATURES)
    layer.draw_parameters(lambda name: generator(0, name))  # without random_start it draws nothing

    assert {name: value.tolist() for name, value in layer.state_dict().items()} == {
        "weight": [1.0] * FEATURES,
        "bias": [0.0] * FEATURES,
        "running_mean": [0.0] * FEATURES,
        "running_var": [1.0] * FEATURES,
    }


@both_classes
def test_a_random_start_draws_each_parameter_from_the_generator_of_its_name(layer_class: type[BatchNorm]) -> None:
    layer = layer_class(FEATURES, random_start=True)

    layer.draw_parameters(lambda name: generator(7, name))

    assert layer.weight is not None
    assert layer.bias is not None
    assert torch.equal(layer.weight, torch.randn(FEATURES, generator=generator(7, "weight")))
    assert torch.equal(layer.bias, torch.randn(FEATURES, generator=generator(7, "bias")))


@both_classes
def test_a_random_start_is_reproducible_and_depends_on_the_seed(layer_class: type[BatchNorm]) -> None:
    def drawn(seed: int) -> Tensor:
        layer = layer_class(FEATURES, random_start=True)
        layer.draw_parameters(lambda name: generator(seed, name))
        return torch.cat(list(layer.parameters()))

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))


@both_classes
def test_a_random_start_draws_from_the_standard_normal_distribution(layer_class: type[BatchNorm]) -> None:
    layer = layer_class(20_000, random_start=True)
    layer.draw_parameters(lambda name: generator(0, name))

    for parameter in layer.parameters():
        assert parameter.mean().item() == pytest.approx(0, abs=0.03)
        assert parameter.std().item() == pytest.approx(1, abs=0.02)
        assert (parameter.abs() < 1).double().mean().item() == pytest.approx(math.erf(math.sqrt(0.5)), abs=0.015)


@both_classes
def test_a_random_start_draws_a_shift_the_same_whether_or_not_there_is_a_scale(layer_class: type[BatchNorm]) -> None:
    layer = layer_class(FEATURES, random_start=True, scale=False)

    layer.draw_parameters(lambda name: generator(7, name))

    assert layer.weight is None
    assert layer.bias is not None
    assert torch.equal(layer.bias, torch.randn(FEATURES, generator=generator(7, "bias")))


@both_classes
@both_ranks
@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"averaged_variance": "biased", "momentum": 0.9, "initial_variance": 0.5},
        {"averaged_variance": "fused", "eps": 1e-3},
        {"scale": False},
        {"shift": False},
        {"scale": False, "shift": False, "eps": 0.1},
    ],
    ids=str,
)
def test_gradients_match_finite_differences(
    layer_class: type[BatchNorm], rank: str, training: bool, settings: dict[str, Any]
) -> None:
    layer = layer_class(2, **settings, random_start=True).double().train(training)
    layer.draw_parameters(lambda name: generator(0, name))
    shape = (4, 2) if rank == "2-D" else (2, 2, 2, 3)
    inputs = torch.randn(shape, generator=generator(0, "inputs"), dtype=torch.float64, requires_grad=True)

    # gradcheck perturbs its arguments in place, so that the layer sees the perturbed parameters too.
    def outputs(inputs: Tensor, *_: Tensor) -> Tensor:
        result: Tensor = layer(inputs)
        return result

    assert torch.autograd.gradcheck(outputs, (inputs, *layer.parameters()))


@both_classes
@both_ranks
@pytest.mark.parametrize("averaged_variance", ["unbiased", "biased", "fused"])
def test_two_forward_passes_before_one_backward_pass_add_their_gradients(
    layer_class: type[BatchNorm], rank: str, averaged_variance: Any
) -> None:
    layer = layer_class(FEATURES, averaged_variance=averaged_variance).double()
    one, other = (batch.requires_grad_() for batch in random_batches(rank, 2))

    together = torch.autograd.grad((layer(one) ** 3).sum() + (layer(other) ** 3).sum(), [one, other])

    alone = [torch.autograd.grad((layer(inputs) ** 3).sum(), inputs)[0] for inputs in (one, other)]
    torch.testing.assert_close(list(together), alone)


@both_classes
@pytest.mark.parametrize("shape", [(1, FEATURES), (1, FEATURES, 1, 1)])
@pytest.mark.parametrize("averaged_variance", ["unbiased", "biased", "fused"])
def test_a_batch_of_one_in_training_raises_an_error_that_says_what_to_do(
    layer_class: type[BatchNorm], shape: tuple[int, ...], averaged_variance: Any
) -> None:
    layer = layer_class(FEATURES, averaged_variance=averaged_variance)

    with pytest.raises(ValueError, match=r"use a batch of at least two, or eval\(\)"):
        layer(torch.ones(shape))

    assert torch.equal(layer.running_var, torch.ones(FEATURES))


@both_classes
def test_a_batch_of_one_image_with_several_pixels_trains(layer_class: type[BatchNorm]) -> None:
    layer = layer_class(FEATURES)

    outputs = layer(torch.randn(1, FEATURES, 2, 2, generator=generator(0, "inputs")))

    torch.testing.assert_close(outputs.mean(dim=(0, 2, 3)), torch.zeros(FEATURES), rtol=0, atol=1e-6)


@both_classes
@pytest.mark.parametrize("shape", [(1, FEATURES), (1, FEATURES, 1, 1)])
def test_a_batch_of_one_in_inference_uses_the_population_statistics(
    layer_class: type[BatchNorm], shape: tuple[int, ...]
) -> None:
    layer = layer_class(FEATURES, eps=0.0, initial_variance=4.0).eval()

    torch.testing.assert_close(layer(torch.full(shape, 6.0)), torch.full(shape, 3.0))


@both_classes
@both_ranks
@pytest.mark.parametrize("averaged_variance", ["unbiased", "biased", "fused"])
def test_inference_leaves_the_running_averages_alone_and_normalizes_with_them(
    layer_class: type[BatchNorm], rank: str, averaged_variance: Any
) -> None:
    layer = layer_class(FEATURES, averaged_variance=averaged_variance).double()
    for batch in random_batches(rank):
        layer(batch)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    inputs = random_batches(rank)[0] + 100

    outputs = layer.eval()(inputs)

    x, mean, variance = array(inputs), array(before["running_mean"]), array(before["running_var"])
    expected = (x - per_channel(mean, x)) / np.sqrt(per_channel(variance, x) + 1e-5)
    np.testing.assert_allclose(array(outputs), expected, rtol=1e-11)
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


@both_classes
@both_ranks
def test_training_moves_the_running_averages_but_does_not_use_them(layer_class: type[BatchNorm], rank: str) -> None:
    layer = layer_class(FEATURES).double()
    inputs = random_batches(rank)[0]

    first = layer(inputs)
    averages = layer.running_mean.clone(), layer.running_var.clone()
    second = layer(inputs)

    assert torch.equal(first, second)
    assert not torch.equal(averages[0], torch.zeros(FEATURES).double())
    assert not torch.equal(averages[1], torch.ones(FEATURES).double())
    assert not torch.equal(layer.running_mean, averages[0])
    assert not torch.equal(layer.running_var, averages[1])


@both_classes
@both_ranks
def test_going_back_to_training_uses_the_batch_again(layer_class: type[BatchNorm], rank: str) -> None:
    layer = layer_class(FEATURES).double()
    inputs = random_batches(rank)[0]
    in_training = layer(inputs)

    in_inference = layer.eval()(inputs)

    assert not torch.allclose(in_inference, in_training)
    assert torch.equal(layer.train()(inputs), in_training)


@both_classes
@both_ranks
def test_the_running_averages_are_in_the_state_but_take_no_gradient(layer_class: type[BatchNorm], rank: str) -> None:
    layer = layer_class(FEATURES).double()

    layer(random_batches(rank)[0].requires_grad_())

    assert set(dict(layer.named_buffers())) == {"running_mean", "running_var"}
    assert not layer.running_mean.requires_grad
    assert not layer.running_var.requires_grad


@both_classes
def test_sequences_are_normalized_as_by_batch_norm_1d_of_torch(layer_class: type[BatchNorm]) -> None:
    layer, reference = layer_class(FEATURES).double(), nn.BatchNorm1d(FEATURES).double()
    draws = torch.Generator().manual_seed(0)
    for _ in range(3):
        inputs = torch.randn(4, FEATURES, 5, generator=draws, dtype=torch.float64)
        torch.testing.assert_close(layer(inputs), reference(inputs))
    torch.testing.assert_close(layer.running_mean, reference.running_mean)
    torch.testing.assert_close(layer.running_var, reference.running_var)
    torch.testing.assert_close(layer.eval()(inputs), reference.eval()(inputs))


@both_classes
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(FEATURES,), (4, FEATURES, 2, 2, 2)])
def test_another_rank_raises_an_error_that_names_the_shape_and_the_remedy(
    layer_class: type[BatchNorm], training: bool, shape: tuple[int, ...]
) -> None:
    layer = layer_class(FEATURES).train(training)

    with pytest.raises(
        ValueError, match=r"\(N, C\), \(N, C, L\) or \(N, C, H, W\), got shape " + re.escape(f"{shape}: reshape")
    ):
        layer(torch.zeros(shape))


@both_classes
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, FEATURES, 2), (4, 5, 2, FEATURES)])
def test_another_number_of_channels_raises_an_error_that_says_how_to_build_the_layer(
    layer_class: type[BatchNorm], training: bool, shape: tuple[int, ...]
) -> None:
    layer = layer_class(FEATURES).train(training)

    with pytest.raises(ValueError, match=r"expected 3 channels on axis 1, got 5 .*build .*num_features=5"):
        layer(torch.zeros(shape))


@both_classes
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_features": 0}, "num_features must be at least 1, got 0"),
        ({"momentum": -0.1}, r"momentum must be in \[0, 1\], got -0.1: it is the weight of the new batch"),
        ({"momentum": 1.1}, r"momentum must be in \[0, 1\], got 1.1"),
        ({"momentum": math.nan}, r"momentum must be in \[0, 1\], got nan"),
        ({"eps": -1e-5}, "eps must be a finite number and not negative, got -1e-05"),
        ({"averaged_variance": "sample"}, "averaged_variance must be one of unbiased, biased, fused, got 'sample'"),
        ({"initial_variance": -1.0}, "initial_variance must be a finite number and not negative, got -1.0"),
    ],
    ids=str,
)
def test_a_setting_out_of_range_raises_an_error_that_names_it_and_what_is_allowed(
    layer_class: type[BatchNorm], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        layer_class(**{"num_features": FEATURES, **settings})


class Published(NamedTuple):
    """What is published about a set-up; a correction is n minus the divisor of the averaged variance."""

    layer_class: type[BatchNorm]
    weight_of_batch: float
    eps: float
    correction_2d: int
    correction_4d: int
    parameters: list[str]
    random_start: bool = False
    initial_variance: float = 1.0
    bias_in_front: bool = False


PUBLISHED = {
    "batch": Published(BatchNorm, 0.1, 1e-5, 1, 1, ["weight", "bias"]),
    "formula": Published(BatchNormByFormula, 0.1, 1e-5, 1, 1, ["weight", "bias"]),
    "slim": Published(BatchNorm, 0.001, 1e-3, 1, 1, ["bias"]),
    "tf_layers": Published(BatchNorm, 0.01, 1e-3, 0, 1, ["weight", "bias"]),
    "tf_nn": Published(BatchNorm, 0.01, 1e-3, 0, 0, ["weight", "bias"]),
    "batch_norm_1d": Published(
        BatchNorm, 0.9, 1e-5, 0, 0, ["weight", "bias"], random_start=True, initial_variance=0.0, bias_in_front=True
    ),
}
every_published_one = pytest.mark.parametrize("name", PUBLISHED)


@every_published_one
def test_a_published_config_builds_its_layer_with_its_parameters(name: str) -> None:
    layer = normalizer_named(name)(FEATURES)

    assert type(layer) is PUBLISHED[name].layer_class
    assert [parameter for parameter, _ in layer.named_parameters()] == PUBLISHED[name].parameters
    assert layer.linear_bias is PUBLISHED[name].bias_in_front


@every_published_one
def test_a_published_config_starts_as_published(name: str) -> None:
    layer = normalizer_named(name)(FEATURES)
    layer.draw_parameters(lambda parameter: generator(0, parameter))

    start = {"weight": torch.ones(FEATURES), "bias": torch.zeros(FEATURES)}
    if PUBLISHED[name].random_start:
        start = {parameter: torch.randn(FEATURES, generator=generator(0, parameter)) for parameter in start}
    assert torch.equal(layer.running_mean, torch.zeros(FEATURES))
    assert torch.equal(layer.running_var, torch.full((FEATURES,), PUBLISHED[name].initial_variance))
    for parameter, value in layer.named_parameters():
        assert torch.equal(value, start[parameter])


@every_published_one
@both_ranks
def test_one_step_of_a_published_config_follows_the_published_formulas(name: str, rank: str) -> None:
    published = PUBLISHED[name]
    layer = normalizer_named(name)(FEATURES).double()
    layer.draw_parameters(lambda parameter: generator(0, parameter))
    # Features spread as little as √eps, so that a wrong eps shows in the outputs.
    inputs = random_batches(rank)[0] * 0.02
    x = array(inputs)
    mean, variance = x.mean(axis=over(x)), x.var(axis=over(x))
    gamma = per_channel(array(layer.weight), x) if layer.weight is not None else 1.0
    beta = per_channel(array(layer.bias), x) if layer.bias is not None else 0.0

    outputs = array(layer(inputs))
    in_inference = array(layer.eval()(inputs))

    def normalized(mean: Array, variance: Array) -> Array:
        x_hat: Array = (x - per_channel(mean, x)) / np.sqrt(per_channel(variance, x) + published.eps)
        return gamma * x_hat + beta

    averaged = x.var(axis=over(x), ddof=published.correction_2d if rank == "2-D" else published.correction_4d)
    running_mean = published.weight_of_batch * mean
    running_variance = (
        1 - published.weight_of_batch
    ) * published.initial_variance + published.weight_of_batch * averaged
    np.testing.assert_allclose(outputs, normalized(mean, variance), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(array(layer.running_mean), running_mean, rtol=1e-12)
    np.testing.assert_allclose(array(layer.running_var), running_variance, rtol=1e-12)
    np.testing.assert_allclose(in_inference, normalized(running_mean, running_variance), rtol=1e-11, atol=1e-11)


def test_the_averages_of_slim_are_63_percent_settled_after_a_thousand_steps() -> None:
    layer = normalizer_named("slim")(1).double()
    inputs = torch.tensor([[1.0], [3.0]], dtype=torch.float64)

    for _ in range(1000):
        layer(inputs)

    assert layer.running_mean.item() / 2.0 == pytest.approx(1 - 0.999**1000, rel=1e-9)
    assert layer.running_mean.item() / 2.0 == pytest.approx(0.63, abs=0.005)
