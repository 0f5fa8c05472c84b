"""Under autocast features reach normalizers in half precision, while what these keep and average is float32."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import normlab
from normlab.config.compose import compose
from normlab.models.layers import list_normalizers
from normlab.normalizers import BatchNorm, BatchNormByFormula
from normlab.training.build import build

from ..choices import choices_of

Array = NDArray[np.float64]
half_types = pytest.mark.parametrize("half", [torch.bfloat16, torch.float16], ids=str)


@half_types
@pytest.mark.parametrize(
    "choice",
    [name for name in choices_of("normalizer") if type(normlab.normalizer(name, 6)) in (BatchNorm, BatchNormByFormula)],
)
def test_running_averages_are_those_of_the_half_precision_inputs_taken_in_double_precision(
    choice: str, half: torch.dtype
) -> None:
    network = ("model=deep_cnn", "model.depth=2", f"normalizer={choice}")
    run = compose("data=digits", *network, "batch_size=16", "steps=6")
    parts = build(run.settings)
    normalizers: dict[str, Any] = dict(list_normalizers(parts.module.network))
    assert len(normalizers) == 3
    passed: dict[str, list[Tensor]] = {name: [] for name in normalizers}
    for name, layer in normalizers.items():
        layer.register_forward_hook(lambda _, inputs, outputs, name=name: passed[name].extend((*inputs, outputs)))
    optimizer = parts.module.make_optimizer(parts.module.network.parameters())
    for images, labels in parts.module.batches:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=half):
            loss = parts.module.objective(parts.module.network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    assert {values.dtype for layer in passed.values() for values in layer} == {half}
    state = parts.module.network.state_dict().values()
    assert {value.dtype for value in state if value.is_floating_point()} == {torch.float32}
    for name, layer in normalizers.items():
        batches = [inputs.detach().double().numpy() for inputs in passed[name][::2]]
        mean, variance = averages_of(batches, run.settings["normalizer"])
        # The kernel adds up hundreds of values in float32; rounding to half precision would cost ten times as much.
        np.testing.assert_allclose(layer.running_mean, mean, rtol=4e-5, atol=4e-5 * np.sqrt(variance.max()))
        np.testing.assert_allclose(layer.running_var, variance, rtol=4e-5)


def averages_of(batches: list[Array], keys: dict[str, Any]) -> tuple[Array, Array]:
    """Return the running mean and variance (C,) that a normalizer with these keys of its config has after batches."""
    features = batches[0].shape[1]
    mean, variance = np.zeros(features), np.full(features, keys["initial_variance"])
    for batch in batches:
        over = (0, *range(2, batch.ndim))
        ddof = {"unbiased": 1, "biased": 0, "fused": int(batch.ndim == 4)}[keys["averaged_variance"]]
        mean = (1 - keys["momentum"]) * mean + keys["momentum"] * batch.mean(over)
        variance = (1 - keys["momentum"]) * variance + keys["momentum"] * batch.var(over, ddof=ddof)
    return mean, variance


@half_types
@pytest.mark.parametrize("layer_class", [BatchNorm, BatchNormByFormula])
@pytest.mark.parametrize("training", [True, False])
def test_half_precision_goes_in_and_comes_out_rounded_once(
    layer_class: type[BatchNorm], training: bool, half: torch.dtype
) -> None:
    layer = layer_class(3).train(training)
    with torch.no_grad():
        layer.running_mean.fill_(301.3)
        layer.running_var.fill_(1579.0)
    # In float16 the squares of these would overflow, and in bfloat16 differences from their mean be lost.
    inputs = (300 + 40 * torch.randn(16, 3, 5, 4, generator=torch.Generator().manual_seed(0))).to(half)
    outputs = layer(inputs)
    assert outputs.dtype == half
    torch.testing.assert_close(outputs.float(), layer(inputs.float()), rtol=torch.finfo(half).eps / 2, atol=1e-5)
