"""Runs made together leave what they leave when made alone."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from normlab.config.compose import compose
from normlab.errors import ConfigurationError
from normlab.population.check import STEPS
from normlab.population.run import NotVectorizableError, count_steps_done, train_together
from normlab.population.stack import Stack
from normlab.runs.ownership import own
from normlab.runs.record import Record
from normlab.runs.run import Run
from normlab.training.run import train

from ..choices import pairs_of_model_and_normalizer, tiny
from ..integration.conftest import curves_of
from ..small_digits import SMALL

OBSERVED = (
    "data=digits",
    SMALL,
    "batch_size=16",
    "steps=50",
    "observe.val={first: 1, every: 20}",
    "observe.train_batch={first: 10, every: 10}",
    "observe.test_batch={first: 25, every: 25}",
    "observe.normalizers={first: 20, every: 20}",
)


def planned(root: Path, *overrides: str, seeds: tuple[int, ...] = (0, 1)) -> list[Run]:
    return [compose(*OBSERVED, *overrides, f"seed={seed}", f"output_root={root}") for seed in seeds]


def alone(runs: list[Run]) -> None:
    for each in runs:
        train(each)


def record(run: Run) -> Record:
    found = run.directory.read()
    assert found is not None
    return found


def results(runs: list[Run]) -> list[dict[str, Any]]:
    """Curves and final metrics of each run."""
    found = []
    for each in runs:
        assert record(each).status == "finished"
        found.append({"curves": curves_of(each.directory.path), "end": record(each).metrics})
    return found


def approximately(results: list[dict[str, Any]]) -> list[Any]:
    """What is within float32 tolerance of results."""
    return [
        {
            "curves": {
                name: pytest.approx(curve, rel=1e-4, abs=slack(name)) for name, curve in result["curves"].items()
            },
            "end": pytest.approx(result["end"], rel=1e-4),
        }
        for result in results
    ]


def slack(name: str) -> float:
    """Percentiles, of values around 1, may jump from one value to the next, and lie near 0 themselves."""
    return 1e-3 if "/input_p" in name else 1e-5


@pytest.mark.parametrize(("model", "normalizer"), pairs_of_model_and_normalizer())
def test_curves_and_final_metrics_are_those_of_lone_runs(tmp_path: Path, model: str, normalizer: str) -> None:
    # Kinks of ReLUs blow rounding up, over 50 updates of 19 normalized layers to tenths: a lone run in float32 is as
    # far from the same one in float64. There tests/training/test_population.py compares networks with ReLUs.
    calm = ["model.activation=tanh", "optimizer.lr=0.003"] if model not in ("imported", "mlp", "lstm") else []
    calm += ["model.depth=4"] if model == "deep_cnn" else []
    overrides = (*tiny(model), f"normalizer={normalizer}", *calm)
    ours, theirs = planned(tmp_path / "together", *overrides), planned(tmp_path / "alone", *overrides)
    train_together(ours)
    alone(theirs)
    assert results(ours) == approximately(results(theirs))


def test_so_are_those_of_runs_with_augmented_images_of_few_classes(tmp_path: Path) -> None:
    overrides = ("normalizer=batch", "model.activation=tanh", "augmentation=crop_flip", "sampler=by_class")
    ours, theirs, plain = (
        planned(tmp_path / name, *chosen)
        for name, chosen in {"together": overrides, "alone": overrides, "plain": overrides[:2]}.items()
    )
    train_together(ours)
    alone(theirs)
    alone(plain)
    assert results(ours) == approximately(results(theirs))
    assert results(ours) != approximately(results(plain))


def test_each_leaves_the_same_files_and_a_record_that_says_how_many_there_were(tmp_path: Path) -> None:
    ours, theirs = planned(tmp_path / "together"), planned(tmp_path / "alone")
    train_together(ours)
    alone(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert names_in(one) == names_in(other)
        kept, expected = (torch.load(each.directory.checkpoint, weights_only=True) for each in (one, other))
        assert kept.keys() == expected.keys()
        assert kept["network"].keys() == expected["network"].keys()
        assert abs(one.directory.checkpoint.stat().st_size - other.directory.checkpoint.stat().st_size) < 2_000
        assert record(one).environment == {**record(other).environment, "trained_together": 2}


def names_in(planned: Run) -> list[str]:
    """The files of a run; those of TensorBoard without time and process in their names."""
    return sorted(path.name.partition("tfevents")[0] for path in planned.directory.path.rglob("*"))


@pytest.mark.parametrize("goes_on", [train_together, alone], ids=["together", "alone"])
def test_stopped_runs_go_on_together_or_alone_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes_on: Callable[[list[Run]], None]
) -> None:
    overrides = ("normalizer=batch", "optimizer=adam")
    ours, whole = planned(tmp_path / "stopped", *overrides), planned(tmp_path / "whole", *overrides)
    train_together(whole)
    with monkeypatch.context() as patched:
        patched.setattr(Stack, "step", with_a_signal(Stack.step, at=33 + STEPS))
        with pytest.raises(SystemExit) as interruption:
            train_together(ours)
    assert interruption.value.code == 143
    for each in ours:
        assert record(each).status == "interrupted"
        assert count_steps_done(each) == 33
    goes_on(ours)
    assert results(ours) == approximately(results(whole))


def with_a_signal(update: Callable[[Stack, Tensor], Tensor], at: int) -> Callable[[Stack, Tensor], Tensor]:
    """An update in whose call number `at` SIGTERM comes; those of the trial count."""
    calls = iter(range(1, at + 1))

    def interrupted(self: Stack, indices: Tensor) -> Tensor:
        if next(calls) == at:
            signal.raise_signal(signal.SIGTERM)
        return update(self, indices)

    return interrupted


def test_finished_ones_and_those_made_elsewhere_are_left_alone(tmp_path: Path) -> None:
    runs = planned(tmp_path, seeds=(0, 1, 2, 3))
    alone(runs[:1])
    before = runs[0].directory.metrics.stat().st_mtime_ns
    runs[1].directory.path.mkdir()
    with own(runs[1].directory.path):
        train_together(runs)
    assert runs[0].directory.metrics.stat().st_mtime_ns == before
    assert runs[1].directory.read() is None
    assert [record(each).environment["trained_together"] for each in runs[2:]] == [
        2,
        2,
    ]


class LargeForSome:
    """Starts some seeds, by their first draw, from weights whose loss overflows."""

    def __call__(self, weight: Tensor, generator: torch.Generator) -> None:
        nn.init.normal_(weight, std=0.05, generator=generator)
        if weight.shape[0] == 10 and weight.flatten()[0] > 0:
            weight.mul_(1e38)


def test_one_that_diverges_ends_as_it_does_alone_and_its_neighbours_go_on(tmp_path: Path) -> None:
    overrides = ("initializer._target_=tests.population.test_run.LargeForSome", "model.hidden=[]")
    seeds = (0, 1, 2, 3, 4, 5)
    ours = planned(tmp_path / "together", *overrides, seeds=seeds)
    theirs = planned(tmp_path / "alone", *overrides, seeds=seeds)
    train_together(ours)
    alone(theirs)
    told = [(record(each).status, record(each).diverged_at) for each in ours]
    assert told == [(record(each).status, record(each).diverged_at) for each in theirs if record(each)]
    assert ("diverged", 1) in told
    assert ("finished", None) in told
    for one, other in zip(ours, theirs, strict=True):
        assert curves_of(one.directory.path).keys() == curves_of(other.directory.path).keys()


def test_runs_that_differ_in_more_than_their_seed_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    runs = planned(tmp_path) + planned(tmp_path, "steps=60", seeds=(2,))
    with pytest.raises(ConfigurationError, match="in their seed alone, not in steps"):
        train_together(runs)
    assert not any(tmp_path.iterdir())


def test_in_bfloat16_they_train_together_where_pytorch_can_and_otherwise_alone(tmp_path: Path) -> None:
    overrides = ("accelerator.precision=bf16-mixed", "steps=5", "normalizer=batch")
    together = planned(tmp_path, *overrides, "model=convnet")
    train_together(together)
    assert [record(each).status for each in together] == ["finished"] * 2
    # PyTorch 2.13 on a CPU: no batch normalization of features (N, C) in bfloat16 beneath vmap.
    with pytest.raises(NotVectorizableError, match="BFloat16"):
        train_together(planned(tmp_path, *overrides, "model=mlp"))


class DropsSome(nn.Dropout):
    def __init__(self, num_features: int) -> None:
        super().__init__(p=0.5)


def test_what_cannot_be_trained_together_says_so_and_is_left_to_be_run_alone(tmp_path: Path) -> None:
    runs = planned(tmp_path, "normalizer._target_=tests.population.test_run.DropsSome")
    with pytest.raises(NotVectorizableError, match="random"):
        train_together(runs)
    alone(runs)
    results(runs)


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("accelerator.processes=2", "accelerator.processes"),
        ("accelerator.compile=true", "accelerator.compile"),
        ("accelerator.precision=16-mixed", "16-mixed"),
        ("+trainer.profiler=simple", "trainer"),
        ("+callbacks.own._target_=pytorch_lightning.Callback", "callbacks"),
    ],
)
def test_settings_that_concern_one_network_at_a_time_are_named(tmp_path: Path, override: str, reason: str) -> None:
    with pytest.raises(NotVectorizableError, match=reason):
        train_together(planned(tmp_path, override))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), MemoryError),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), MemoryError),
        (ValueError("of its own"), NotVectorizableError),
    ],
    ids=["on a GPU", "on a CPU", "another error"],
)
def test_an_error_while_all_train_says_how_they_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: type[Exception]
) -> None:
    def failing(*arguments: object) -> None:
        raise error

    runs = planned(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("normlab.population.run.fit_together", failing)
        with pytest.raises(expected):
            train_together(runs)
    alone(runs)
    results(runs)
