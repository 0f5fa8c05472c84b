"""The samples that a run keeps of its inputs: what the second tutorial pictures."""

import numpy as np
import pytest
import torch
from torch import Tensor

from normlab.data import Split
from normlab.data.preprocessing import ZCA, Center, MinMax, Preprocessing, Standardize, Unit, fit_preprocessing
from normlab.measurements.input_samples import sample_inputs


@pytest.fixture
def train() -> Split:
    images = torch.randint(0, 256, (50, 1, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    return Split(images, torch.zeros(50, dtype=torch.int64))


def sampled(preprocessing: Preprocessing, train: Split) -> dict[str, np.ndarray]:
    return {**sample_inputs(type(preprocessing)(), fit_preprocessing(preprocessing, train), train)}


def test_the_cloud_is_centred_standardized_rescaled_and_whitened(train: Split) -> None:
    raw = sampled(Unit(), train)
    assert np.array_equal(raw["cloud"], raw["cloud_after"])
    assert abs(np.corrcoef(raw["cloud"].T)[0, 1]) > 0.5
    assert sampled(Center(), train)["cloud_after"].mean(axis=0) == pytest.approx([0, 0], abs=1e-5)
    assert sampled(Standardize(), train)["cloud_after"].std(axis=0) == pytest.approx([1, 1], rel=1e-4)
    rescaled = sampled(MinMax(), train)["cloud_after"]
    assert (rescaled.min(), rescaled.max()) == pytest.approx((-1, 1))
    whitened = sampled(ZCA(), train)["cloud_after"]
    assert np.cov(whitened.T) == pytest.approx(np.eye(2), abs=0.02)


def test_images_stand_before_and_after_what_the_network_sees(train: Split) -> None:
    found = sampled(Standardize(), train)
    assert np.array_equal(found["images"], train.inputs[:4].numpy())
    seen = fit_preprocessing(Standardize(), train)(train.inputs[:4]).numpy()
    assert found["images_after"] == pytest.approx(seen, abs=0.01)


def test_preprocessing_that_refuses_images_of_two_pixels_has_no_cloud(train: Split) -> None:
    class NeedsSquares(Center):
        def fit(self, features: Tensor) -> "NeedsSquares":
            if features.shape[-2] != features.shape[-1]:
                raise ValueError("these are no squares")
            super().fit(features)
            return self

    found = sample_inputs(NeedsSquares(), fit_preprocessing(NeedsSquares(), train), train)
    assert set(found) == {"images", "images_after"}
