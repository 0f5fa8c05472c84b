"""Both documents on real MNIST: every claim of theirs, and how far their figures lie from ours.

By default one seed of the small networks, cut short where a claim allows it (about a minute on one core), with `make
long` one of the deep network; `pytest -m published` takes the seeds named there (about 12 minutes).
"""

import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Command, curves_of, record_of

Runs = Callable[[str], list[Path]]


def seeds(several: str, *marks: pytest.MarkDecorator) -> pytest.MarkDecorator:
    """Seed 0, with marks of its own, and several."""
    choices = [pytest.param("0", marks=marks), pytest.param(several, marks=pytest.mark.published)]
    return pytest.mark.parametrize("seed", choices)


def of(variant: str, found: list[Path]) -> list[Path]:
    chosen = [run for run in found if record_of(run)["choices"]["normalizer"] == variant]
    assert chosen
    return chosen


@seeds("0,1,2", pytest.mark.long)
def test_the_deep_network_trains_with_normalization_and_not_without(
    normlab: Command, runs: Runs, mnist_root: Path, seed: str
) -> None:
    # One seed of the ready-made layer against none is what there is time for in every test run.
    variants = ["tf_layers"] if seed == "0" else ["tf_layers", "tf_nn"]
    finished = normlab(
        "experiment=deep_cnn", f"normalizer=none,{','.join(variants)}", f"seed={seed}", f"data.root={mnist_root}"
    )
    assert finished.returncode == 0, finished.stderr
    found = runs("deep_cnn")
    assert all(record_of(run)["metrics"]["val/accuracy"] < 0.35 for run in of("none", found))
    for variant in variants:
        assert all(record_of(run)["metrics"]["val/accuracy"] > 0.85 for run in of(variant, found))
    for run in of("tf_layers", found):
        curve = curves_of(run)["val/accuracy"]
        assert curve[101] == pytest.approx(0.10, abs=0.03)
        assert curve[501] > 0.80
        assert list(curve) == [1, 101, 201, 301, 401, 501, 601, 701, 800]
        assert list(curves_of(run)["train_batch/loss"])[:4] == [26, 51, 76, 126]
        assert curves_of(run)["val/loss"][1] == pytest.approx(0.69, abs=0.01)
        assert record_of(run)["published"]["tf_layers"]["val/accuracy"] == 0.8794


@pytest.mark.long
@seeds("0,1")
def test_the_perceptron_reaches_the_published_end_with_and_without_normalization(
    normlab: Command, runs: Runs, mnist_root: Path, seed: str
) -> None:
    finished = normlab("experiment=mlp", f"seed={seed}", f"data.root={mnist_root}")
    assert finished.returncode == 0, finished.stderr
    for variant in ("none", "batch_norm_1d"):
        records = [record_of(run) for run in of(variant, runs("mlp"))]
        published = records[0]["published"][variant]
        for metric, tolerance in (("train/accuracy", 0.005), ("train/loss", 0.012)):
            # Over the seeds: with averages that keep a tenth of the past, one run's end hangs on its last batches.
            mean = statistics.mean(record["metrics"][metric] for record in records)
            assert mean == pytest.approx(published[metric], abs=tolerance)


@pytest.mark.long
def test_inference_of_the_convolutional_network_lags_with_slim_after_a_thousand_updates(
    normlab: Command, runs: Runs, mnist_root: Path
) -> None:
    # The published run in its first fifth, which is all that this claim is about.
    finished = normlab(
        "experiment=convnet", "seed=0", "steps=1000", "evaluate.splits=[test]", f"data.root={mnist_root}"
    )
    assert finished.returncode == 0, finished.stderr
    assert_slim_lags(runs("convnet"))


@pytest.mark.published
def test_the_convolutional_network_reaches_the_published_end(normlab: Command, runs: Runs, mnist_root: Path) -> None:
    finished = normlab("experiment=convnet", "seed=0,1", f"data.root={mnist_root}")
    assert finished.returncode == 0, finished.stderr
    for run in runs("convnet"):
        record = record_of(run)
        published = record["published"][record["choices"]["normalizer"]]
        assert record["metrics"]["test/accuracy"] == pytest.approx(published["test/accuracy"], abs=0.006)
    assert_slim_lags(runs("convnet"))


def assert_slim_lags(found: list[Path]) -> None:
    for slim, none in zip(of("slim", found), of("none", found), strict=True):
        assert curves_of(slim)["train_batch/loss"][1000] >= 10 * curves_of(none)["train_batch/loss"][1000]
