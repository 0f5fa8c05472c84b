"""Measurements of a user's own: curves and final metrics, and what becomes of those that fail."""

import copy
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

import normlab
from normlab.data.tasks import Metric
from normlab.errors import ConfigurationError
from normlab.measurements import State
from normlab.runs.record import Record
from normlab.runs.run import Run

from ..integration.conftest import curves_of


class WeightNorm:
    def __init__(self, name: str = "weights") -> None:
        self.name = name
        self.metrics = {f"{name}/norm": Metric("lower", 0.0)}

    def measure(self, state: State) -> dict[str, Any]:
        torch.rand(1)  # affects no stream of the run
        weights = torch.cat([parameter.detach().flatten() for parameter in state.network.parameters()])
        return {f"{self.name}/norm": weights.norm()}


class Fails(WeightNorm):
    def measure(self, state: State) -> dict[str, Any]:
        raise KeyError("no such layer")


class Infinite:
    metrics: ClassVar = {"weights/norm": Metric("lower"), "weights/step": Metric("higher")}

    def measure(self, state: State) -> dict[str, Any]:
        return {"weights/norm": math.inf, "weights/step": state.step, "weights/histogram": torch.tensor([math.nan])}


class Undeclared(WeightNorm):
    def measure(self, state: State) -> dict[str, Any]:
        return {"weights/other": 1.0}


class NoNumber(WeightNorm):
    def measure(self, state: State) -> dict[str, Any]:
        return {"weights/norm": "large"}


class NoDict(WeightNorm):
    def measure(self, state: State) -> Any:
        return 1.0


class Twice(WeightNorm):
    def __init__(self) -> None:
        self.metrics = {"test/accuracy": Metric("higher")}


class NoMetrics(WeightNorm):
    def __init__(self) -> None:
        self.metrics = {"weights/norm": "lower"}  # type: ignore[dict-item]


class NoMeasurement:
    metrics: ClassVar[dict[str, Metric]] = {}


def compose(root: Path, observe: type | None = None, evaluate: type | None = None, **arguments: Any) -> Run:
    run = normlab.compose("data=digits", "steps=6", "observe.val=null", "evaluate.splits=[]", f"output_root={root}")
    settings = copy.deepcopy(dict(run.settings))
    if observe is not None:
        rule = {"_target_": f"{__name__}.{observe.__name__}", "first": 2, "every": 2, "unless": None}
        settings["observe"]["mine"] = {**rule, **arguments}
    if evaluate is not None:
        settings["evaluate"]["mine"] = {"_target_": f"{__name__}.{evaluate.__name__}", **arguments}
    return Run(settings, run.choices)


@pytest.fixture
def train(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Callable[..., tuple[Record, dict[str, dict[int, float]]]]:
    def train(*measurements: type | None, **arguments: Any) -> tuple[Record, dict[str, dict[int, float]]]:
        caplog.clear()
        run = compose(tmp_path, *measurements, **arguments)
        return normlab.train(run), curves_of(run.directory.path)

    return train


def test_under_observe_it_gives_a_curve_and_under_evaluate_a_final_metric_with_its_direction(train: Any) -> None:
    record, curves = train(WeightNorm, WeightNorm)
    assert list(curves["weights/norm"]) == [2, 4, 6]
    assert record.metrics["weights/norm"] == curves["weights/norm"][6]
    assert record.metrics_info["weights/norm"] == asdict(Metric("lower", low=0.0))
    expected = Metric("higher", 0.0, 1.0, guess=0.1, resolution=0.01)
    assert record.metrics_info["test/one_by_one_accuracy"] == asdict(expected)


def test_settings_reach_it_and_measuring_changes_no_number(train: Any, tmp_path: Path) -> None:
    _, curves = train(WeightNorm, name="all")
    plain = compose(tmp_path)
    normlab.train(plain)
    expected = curves_of(plain.directory.path)
    assert list(curves.pop("all/norm")) == [2, 4, 6]
    assert curves == expected


def test_one_that_fails_is_left_out_and_named_and_the_run_ends_well(
    train: Any, caplog: pytest.LogCaptureFixture
) -> None:
    record, curves = train(Fails, Fails)
    assert record.status == "finished"
    assert "weights/norm" not in {**curves, **record.metrics}
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [
        "observe.mine is left out: KeyError: 'no such layer' after step 2",
        "evaluate.mine is left out: KeyError: 'no such layer' after step 6",
    ]


def test_values_that_are_not_finite_are_left_out_and_named(train: Any, caplog: pytest.LogCaptureFixture) -> None:
    record, curves = train(Infinite, Infinite)
    assert record.metrics["weights/step"] == 6
    assert "weights/norm" not in {**curves, **record.metrics}
    assert "observe.mine: weights/norm is left out: not finite after step 2" in caplog.text
    assert "observe.mine: weights/histogram is left out: not finite after step 2" in caplog.text


def test_what_was_observed_after_the_last_step_is_sent_once(train: Any, tmp_path: Path) -> None:
    train(WeightNorm, WeightNorm)
    rows = next(tmp_path.glob("single/runs/*/metrics.csv")).read_text().splitlines()
    assert len([row for row in rows if row.startswith("6,weights/norm,")]) == 1


@pytest.mark.parametrize(
    ("observe", "evaluate", "message"),
    [
        (NoMeasurement, None, r"observe\.mine is no measurement: NoMeasurement \(.*\.py\) lacks measure"),
        (NoMetrics, None, r"observe\.mine: `metrics` of NoMetrics \(.*\.py\) must map names to"),
        (NoNumber, None, r"observe\.mine: NoNumber \(.*\.py\): measure must return numbers .* weights/norm is str"),
        (None, NoDict, r"evaluate\.mine: NoDict \(.*\.py\): measure must return a dict of values by name, not float"),
        (None, Undeclared, r"evaluate\.mine: Undeclared \(.*\.py\) measures weights/other, whose direction"),
        (None, Twice, r"evaluate\.test and evaluate\.mine both measure test/accuracy: rename it .* Twice \(.*\.py\)"),
    ],
)
def test_one_that_keeps_no_contract_is_refused_with_class_and_file_before_anything_is_written(
    tmp_path: Path, observe: type | None, evaluate: type | None, message: str
) -> None:
    run = compose(tmp_path, observe, evaluate)
    run.settings["evaluate"]["splits"].append("test")
    with pytest.raises(ConfigurationError, match=message):
        normlab.train(run)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("{first: 1, every: 1}", r"observe\.mine needs a _target_"),
        ("{_target_: x.Y, every: 1}", r"observe\.mine\.first=None has the wrong type"),
        ("{_target_: x.Y, first: 1.5, every: 1}", r"observe\.mine\.first=1.5 has the wrong type"),
        ("3", r"observe\.mine=3 is no schedule"),
    ],
)
def test_a_schedule_is_checked_with_its_key(change: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        normlab.compose(f"+observe.mine={change}")
