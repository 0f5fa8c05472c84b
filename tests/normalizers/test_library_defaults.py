"""Batch normalization with the defaults of Keras 3 and Flax, against their documented formulas in NumPy."""

from typing import Any

import numpy as np
import pytest

import normlab

from .test_batch_norm import array, both_ranks, over, per_channel, random_batches


@both_ranks
@pytest.mark.parametrize(("choice", "eps"), [("keras", 1e-3), ("flax", 1e-5)])
def test_training_and_inference_follow_the_documented_formulas(rank: str, choice: str, eps: float) -> None:
    layer: Any = normlab.normalizer(choice, 3).double()
    mean, variance = np.zeros(3), np.ones(3)
    for batch in random_batches(rank):
        x = array(batch)
        batch_mean, batch_variance = x.mean(over(x)), x.var(over(x))
        expected: Any = (x - per_channel(batch_mean, x)) / np.sqrt(per_channel(batch_variance, x) + eps)
        np.testing.assert_allclose(array(layer(batch)), expected, rtol=1e-10, atol=1e-10)
        mean = 0.99 * mean + (1 - 0.99) * batch_mean
        variance = 0.99 * variance + (1 - 0.99) * batch_variance
    np.testing.assert_allclose(array(layer.running_mean), mean, rtol=1e-10)
    np.testing.assert_allclose(array(layer.running_var), variance, rtol=1e-10)
    expected = (x - per_channel(mean, x)) / np.sqrt(per_channel(variance, x) + eps)
    np.testing.assert_allclose(array(layer.eval()(batch)), expected, rtol=1e-10, atol=1e-10)
    assert {name: value.tolist() for name, value in layer.named_parameters()} == {"weight": [1] * 3, "bias": [0] * 3}
