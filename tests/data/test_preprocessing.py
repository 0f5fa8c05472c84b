"""Preprocessing: what each kind promises of the training points, and its inverse."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import decomposition
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from torch import Tensor

from normlab.data import Classification, DataError, Split, digits
from normlab.data.preprocessing import (
    PCA,
    ZCA,
    Center,
    MinMax,
    Preprocessing,
    Standardize,
    Unit,
    fit_preprocessing,
    transform_splits,
)

KINDS: list[type[Preprocessing]] = [Unit, Center, Standardize, MinMax, PCA, ZCA]
every_kind = pytest.mark.parametrize("kind", KINDS)
quick = settings(deadline=None, max_examples=40)

# A grid keeps features that vary well away from those that do not.
values = st.integers(-1000, 1000).map(lambda hundredths: hundredths / 100)
features = st.integers(1, 6)


def points(count: int, dimensions: int) -> st.SearchStrategy[Tensor]:
    return arrays(np.float64, (count, dimensions), elements=values).map(torch.from_numpy)


clouds = st.tuples(st.integers(3, 40), features).flatmap(lambda shape: points(*shape))
seen_and_unseen = st.tuples(st.integers(3, 40), features, st.integers(1, 10)).flatmap(
    lambda sizes: st.tuples(points(sizes[0], sizes[1]), points(sizes[2], sizes[1]))
)


@st.composite
def correlated_clouds(draw: st.DrawFn) -> Tensor:
    """Normal clouds in which every direction varies, each to a different degree."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dimensions = draw(features)
    cloud = random.normal(size=(draw(st.integers(20, 40)), dimensions))
    cloud = cloud @ random.normal(size=(dimensions, dimensions)) + random.normal(size=dimensions)
    variances = np.linalg.eigvalsh(np.atleast_2d(np.cov(cloud, rowvar=False)))
    assume(variances[0] > 1e-2)
    assume(bool(np.all(np.diff(variances) > 1e-2)))
    return torch.from_numpy(cloud)


def covariance(cloud: Tensor) -> Tensor:
    centred = cloud - cloud.mean(dim=0)
    return centred.T @ centred / len(cloud)


def varies(cloud: Tensor) -> Tensor:
    return cloud.amin(dim=0) < cloud.amax(dim=0)


def close(found: Tensor, expected: Tensor | float, tolerance: float = 1e-9) -> bool:
    return torch.allclose(found, torch.as_tensor(expected, dtype=found.dtype), rtol=0, atol=tolerance)


def test_the_unit_interval_is_pixels_over_255() -> None:
    images = torch.arange(256).to(torch.uint8)
    scaled = Classification().prepare(images)
    assert scaled.dtype == torch.float32
    assert torch.equal(scaled, torch.arange(256) / 255)
    assert torch.equal(images, torch.arange(256).to(torch.uint8))


@quick
@given(clouds)
def test_unit_leaves_the_points_as_they_are(cloud: Tensor) -> None:
    assert torch.equal(Unit().fit(cloud).transform(cloud), cloud)


@quick
@given(clouds)
def test_center_gives_mean_0_and_nothing_else(cloud: Tensor) -> None:
    centred = Center().fit(cloud).transform(cloud)
    assert close(centred.mean(dim=0), 0)
    assert close(centred.var(dim=0), cloud.var(dim=0))


@quick
@given(clouds)
def test_standardize_gives_mean_0_and_standard_deviation_1(cloud: Tensor) -> None:
    standard = Standardize().fit(cloud).transform(cloud)
    assert close(standard.mean(dim=0), 0)
    assert close(standard.std(dim=0, correction=0), varies(cloud).double())


@quick
@given(clouds)
def test_minmax_spans_the_interval_from_minus_1_to_1(cloud: Tensor) -> None:
    scaled = MinMax().fit(cloud).transform(cloud)
    assert close(scaled.amin(dim=0), -varies(cloud).double())
    assert close(scaled.amax(dim=0), varies(cloud).double())


@quick
@given(clouds)
def test_pca_gives_uncorrelated_features_of_falling_variance(cloud: Tensor) -> None:
    rotated = PCA().fit(cloud).transform(cloud)
    found = covariance(rotated)
    assert close(rotated.mean(dim=0), 0)
    assert close(found, found.diag().diag())
    assert bool((found.diag().diff() <= 1e-9).all())
    assert close(found.trace(), covariance(cloud).trace())


@quick
@given(clouds)
def test_pca_preserves_the_distances_between_points(cloud: Tensor) -> None:
    exact = "donot_use_mm_for_euclid_dist"
    rotated = PCA().fit(cloud).transform(cloud)
    assert close(torch.cdist(rotated, rotated, compute_mode=exact), torch.cdist(cloud, cloud, compute_mode=exact))


@quick
@given(correlated_clouds())
def test_zca_gives_the_identity_as_covariance(cloud: Tensor) -> None:
    white = ZCA(eps=1e-10).fit(cloud).transform(cloud)
    assert close(white.mean(dim=0), 0)
    assert close(covariance(white), torch.eye(cloud.shape[1]), 1e-6)


@quick
@given(correlated_clouds())
def test_zca_is_the_symmetric_one_among_the_whitening_transforms(cloud: Tensor) -> None:
    dimensions = cloud.shape[1]
    whitening = ZCA(eps=1e-10).fit(cloud)
    unit_vectors = torch.eye(dimensions, dtype=cloud.dtype)
    matrix = whitening.transform(unit_vectors) - whitening.transform(torch.zeros_like(unit_vectors))
    assert close(matrix, matrix.T)
    assert bool((torch.linalg.eigvalsh(matrix) > 0).all())


def test_zca_with_a_larger_eps_shrinks_the_directions_that_hardly_vary() -> None:
    # Two independent features of variance 1 and 0.01.
    cloud = torch.tensor([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.1], [-1.0, -0.1]], dtype=torch.float64)
    white = ZCA(eps=0.01).fit(cloud).transform(cloud)
    assert close(covariance(white), torch.tensor([[1 / 1.01, 0], [0, 0.5]], dtype=torch.float64))


@pytest.mark.parametrize("eps", [0.0, -1e-5])
def test_zca_refuses_an_eps_that_is_not_positive(eps: float) -> None:
    with pytest.raises(ValueError, match=f"^eps must be positive, got {eps}$"):
        ZCA(eps=eps)


@every_kind
@quick
@given(seen_and_unseen)
def test_the_inverse_gives_back_seen_and_unseen_points(
    kind: type[Preprocessing], seen_and_unseen: tuple[Tensor, Tensor]
) -> None:
    seen, unseen = seen_and_unseen
    preprocessing = kind().fit(seen)
    for cloud in (seen, unseen):
        assert close(preprocessing.inverse(preprocessing.transform(cloud)), cloud)


@every_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@quick
@given(cloud=clouds, constant=st.floats(-10, 10, width=32))
# The mean of three values 0.1 is not 0.1 in binary arithmetic.
@example(cloud=torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64), constant=0.10000000149011612)
def test_a_feature_that_never_varies_is_at_most_centred(
    kind: type[Preprocessing], dtype: torch.dtype, cloud: Tensor, constant: float
) -> None:
    assume(bool(varies(cloud).any()))
    seen = torch.cat([torch.full((len(cloud), 1), constant, dtype=torch.float64), cloud], dim=1).to(dtype)
    preprocessing = kind().fit(seen)
    unseen = seen[:1].clone()
    unseen[0, 0] += 1
    assert bool(preprocessing.transform(seen).isfinite().all())
    moved = preprocessing.transform(unseen) - preprocessing.transform(seen[:1])
    # One step along the feature stays one step: it is neither blown up nor lost.
    assert close(moved.norm(), 1.0, 1e-9 if dtype == torch.float64 else 1e-2)


@every_kind
@quick
@given(st.integers(3, 40), features, values)
def test_points_that_are_all_the_same_stay_finite(
    kind: type[Preprocessing], count: int, dimensions: int, value: float
) -> None:
    cloud = torch.full((count, dimensions), value, dtype=torch.float64)
    preprocessing = kind().fit(cloud)
    transformed = preprocessing.transform(cloud)
    assert close(transformed, value if kind is Unit else 0)
    assert close(preprocessing.inverse(transformed), value)


@pytest.mark.parametrize(
    ("preprocessing", "reference"),
    [(Standardize(), StandardScaler()), (MinMax(), MinMaxScaler(feature_range=(-1, 1)))],
    ids=["standardize", "minmax"],
)
@quick
@given(correlated_clouds())
def test_elementwise_kinds_agree_with_scikit_learn(preprocessing: Preprocessing, reference: Any, cloud: Tensor) -> None:
    expected = reference.fit(cloud.numpy()).transform(cloud.numpy() + 1)
    assert close(preprocessing.fit(cloud).transform(cloud + 1), torch.from_numpy(expected))


@quick
@given(correlated_clouds())
def test_pca_agrees_with_scikit_learn_up_to_the_sign_of_each_axis(cloud: Tensor) -> None:
    expected = torch.from_numpy(decomposition.PCA(svd_solver="full").fit(cloud.numpy()).transform(cloud.numpy()))
    found = PCA().fit(cloud).transform(cloud)
    signs = (found * expected).sum(dim=0).sign()
    assert close(found * signs, expected)


@every_kind
@pytest.mark.parametrize("shape", [(3,), (1, 3), (3, 1, 2), (2, 3, 4)])
def test_every_shape_after_the_first_axis_is_kept(kind: type[Preprocessing], shape: tuple[int, ...]) -> None:
    cloud = torch.randn(20, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    preprocessing = kind().fit(cloud)
    transformed = preprocessing.transform(cloud)
    assert transformed.shape == cloud.shape
    assert close(preprocessing.inverse(transformed), cloud)
    flat = cloud.flatten(start_dim=1)
    assert close(transformed.flatten(start_dim=1), kind().fit(flat).transform(flat))


@pytest.fixture(scope="module")
def small() -> tuple[Split, Split]:
    """Real images of 28×28, every third pixel of which suffices to rotate quickly."""
    source = digits()
    thin = [Split(split.inputs[:, :, ::3, ::3].contiguous(), split.targets) for split in (source.train, source.test)]
    return thin[0], thin[1]


@every_kind
def test_real_images_keep_their_shape_and_become_finite_float32(kind: type[Preprocessing]) -> None:
    source = digits()
    preprocess = fit_preprocessing(kind(), source.train)
    for split in (source.train, source.test):
        seen = preprocess(split.inputs)
        assert seen.shape == split.inputs.shape
        assert seen.dtype == torch.float32
        assert bool(seen.isfinite().all())


@every_kind
def test_real_images_come_back_from_the_inverse(kind: type[Preprocessing], small: tuple[Split, Split]) -> None:
    train, test = small
    preprocessing = kind()
    preprocess = fit_preprocessing(preprocessing, train)
    for split in (train, test):
        back = preprocessing.inverse(preprocess(split.inputs)) * 255
        assert torch.equal(back.round().to(torch.uint8), split.inputs)


@every_kind
def test_statistics_are_those_of_the_training_images(kind: type[Preprocessing], small: tuple[Split, Split]) -> None:
    train, test = small
    preprocess = fit_preprocessing(kind(), train)
    by_hand = kind().fit(train.inputs.float() / 255)
    assert torch.equal(preprocess(test.inputs), by_hand.transform(test.inputs.float() / 255))


@every_kind
def test_an_image_looks_the_same_whatever_else_is_seen(kind: type[Preprocessing], small: tuple[Split, Split]) -> None:
    train, test = small
    preprocess = fit_preprocessing(kind(), train)
    first = preprocess(test.inputs)
    preprocess(255 - train.inputs)
    assert torch.equal(preprocess(test.inputs), first)
    # Sums of matrix products may be taken in another order for fewer rows.
    assert close(preprocess(test.inputs[:7]), first[:7], 1e-4)


def test_labels_do_not_matter(small: tuple[Split, Split]) -> None:
    train, test = small
    relabelled = Split(train.inputs, torch.zeros_like(train.targets))
    assert torch.equal(
        fit_preprocessing(Standardize(), train)(test.inputs), fit_preprocessing(Standardize(), relabelled)(test.inputs)
    )


@every_kind
def test_the_images_themselves_are_left_as_they_were(kind: type[Preprocessing], small: tuple[Split, Split]) -> None:
    train, test = small
    before = train.inputs.clone(), test.inputs.clone()
    fit_preprocessing(kind(), train)(test.inputs)
    assert torch.equal(train.inputs, before[0])
    assert torch.equal(test.inputs, before[1])


@every_kind
def test_images_transformed_beforehand_are_those_of_a_batch_transformed_by_itself(kind: type[Preprocessing]) -> None:
    source = digits()
    preprocess = fit_preprocessing(kind(), source.train)
    beforehand = transform_splits(source, preprocess, size=100)
    for name in ("train", "val", "test"):
        split, seen = getattr(source, name), getattr(beforehand, name)
        assert torch.equal(seen.targets, split.targets)
        assert close(seen.inputs[150:214], preprocess(split.inputs[150:214]), 1e-4)


@pytest.mark.parametrize("kind", [Center, Standardize, MinMax, PCA, ZCA])
def test_inputs_larger_than_the_free_memory_in_floating_point_are_refused(
    kind: type[Preprocessing], small: tuple[Split, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("normlab.data.limits.find_free_memory", lambda: 4 * small[0].inputs.numel())
    with pytest.raises(DataError, match=f"{kind.__name__}: .* choose preprocessing=unit"):
        fit_preprocessing(kind(), small[0])
    fit_preprocessing(Unit(), small[0])
