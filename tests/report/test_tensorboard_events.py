"""Event files of a report are read back with TensorBoard's own reader."""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader  # type: ignore[import-untyped]
from tensorboard.compat.proto.event_pb2 import SessionLog  # type: ignore[import-untyped]
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout  # type: ignore[import-untyped]
from tensorboard.util.tensor_util import make_ndarray  # type: ignore[import-untyped]

from normlab.report.ablation import Variant
from normlab.report.analysis import analyse
from normlab.report.load import load
from normlab.report.markdown import write_markdown
from normlab.report.tensorboard import name_directories, write_events

from .made_runs import make_ablation, make_run

MEAN, LOWER, UPPER = (f"variants/val/accuracy/mean{end}" for end in ("", "_lower", "_upper"))


def written(root: Path) -> Path:
    """Write the events of all runs below `root`; return the directory of the report."""
    write_events(analyse(load(root)), root / "report")
    return root / "report"


def events_of(run: Path) -> list[Any]:
    (file,) = run.glob("events.out.tfevents.*")
    return list(EventFileLoader(str(file)).Load())


def tensors_of(run: Path) -> dict[str, Any]:
    return {value.tag: make_ndarray(value.tensor) for event in events_of(run) for value in event.summary.value}


def curve_of(run: Path, tag: str) -> dict[int, float]:
    points = [(event.step, value) for event in events_of(run) for value in event.summary.value if value.tag == tag]
    return {step: float(make_ndarray(value.tensor)) for step, value in points}


def text_of(run: Path, tag: str) -> str:
    return str(tensors_of(run)[tag].item().decode())


def layout_of(report: Path) -> Layout:
    return Layout.FromString(tensors_of(report)["custom_scalars__config__"].item())


def variant(name: str) -> Variant:
    return Variant(name, {}, [], is_baseline=False)


def accuracies(points: Mapping[int, float]) -> dict[str, dict[int, float]]:
    return {"val/accuracy": dict(points)}


def test_every_variant_is_a_run_with_its_mean_curves_under_the_tags_of_the_runs(tmp_path: Path) -> None:
    make_ablation(tmp_path / "e", seeds=3)
    report = written(tmp_path / "e")
    assert {path.name for path in (report / "variants").iterdir()} == {"1_none", "2_batch", "3_tf_nn"}
    curves = load(tmp_path / "e").curves
    for name in ("val/accuracy", "val/loss", "train_batch/loss"):
        own = curves[(curves["variant"] == "batch") & (curves["name"] == name)]
        expected = own.groupby("step")["value"].mean().to_dict()
        assert curve_of(report / "variants" / "2_batch", name) == pytest.approx(expected, rel=1e-6)


def test_the_interval_is_students_over_the_runs_that_have_the_step(tmp_path: Path) -> None:
    for seed, (value, last) in enumerate([(0.2, 30), (0.3, 20), (0.7, 20)]):
        make_run(tmp_path / "e", seed=seed, curves=accuracies(dict.fromkeys(range(10, last + 1, 10), value)))
    (run,) = (written(tmp_path / "e") / "variants").iterdir()
    low, high = stats.t.interval(0.95, 2, loc=0.4, scale=stats.sem([0.2, 0.3, 0.7]))
    assert curve_of(run, MEAN) == curve_of(run, "val/accuracy") == pytest.approx({10: 0.4, 20: 0.4, 30: 0.2})
    assert curve_of(run, LOWER) == pytest.approx({10: low, 20: low, 30: math.nan}, nan_ok=True)
    assert curve_of(run, UPPER) == pytest.approx({10: high, 20: high, 30: math.nan}, nan_ok=True)


def test_means_leave_out_what_is_not_finite_and_diverged_runs_where_there_are_others(tmp_path: Path) -> None:
    make_run(tmp_path / "e", seed=0, curves=accuracies({10: 0.2, 20: math.nan, 30: 0.4}))
    make_run(tmp_path / "e", seed=1, curves=accuracies({10: 0.4, 20: 0.5, 30: math.inf}))
    make_run(tmp_path / "e", seed=2, curves=accuracies({10: 9.0}), status="diverged")
    make_run(tmp_path / "e", "batch", curves=accuracies({10: 0.1, 20: math.nan}), status="diverged")
    variants = written(tmp_path / "e") / "variants"
    assert curve_of(variants / "1_none", "val/accuracy") == pytest.approx({10: 0.3, 20: 0.5, 30: 0.4})
    assert curve_of(variants / "2_batch", "val/accuracy") == pytest.approx({10: 0.1})


def test_the_layout_has_a_margin_chart_for_each_metric_the_main_one_shown_first(tmp_path: Path) -> None:
    make_ablation(tmp_path / "e", seeds=2)
    (comparison,) = layout_of(written(tmp_path / "e")).category
    assert not comparison.closed
    assert [chart.title for chart in reversed(comparison.chart)] == ["val/accuracy", "val/loss", "train_batch/loss"]
    (series,) = comparison.chart[-1].margin.series
    assert (series.value, series.lower, series.upper) == (MEAN, LOWER, UPPER)


def test_events_have_no_hyperparameters_and_start_a_session(tmp_path: Path) -> None:
    make_ablation(tmp_path / "e", seeds=2)
    report = written(tmp_path / "e")
    for run in (report, *(report / "variants").iterdir()):
        version, start, *summaries = events_of(run)
        assert version.file_version == "brain.Event:2"
        assert (start.step, start.session_log.status) == (0, SessionLog.START)
        plugins = {value.metadata.plugin_data.plugin_name for event in summaries for value in event.summary.value}
        assert plugins <= {"scalars", "text", "custom_scalars"}


def test_events_written_anew_replace_those_that_a_reader_has(tmp_path: Path) -> None:
    make_ablation(tmp_path / "e", seeds=2)
    report = written(tmp_path / "e")
    reader = EventAccumulator(str(report / "variants" / "1_none")).Reload()
    before = [(event.step, event.value) for event in reader.Scalars("val/accuracy")]
    written(tmp_path / "e")
    reader.Reload()
    assert len(list((report / "variants" / "1_none").iterdir())) == 2
    assert [(event.step, event.value) for event in reader.Scalars("val/accuracy")] == before


def test_the_same_runs_give_the_same_content(tmp_path: Path) -> None:
    make_ablation(tmp_path / "e", seeds=2)
    for number, path in enumerate(sorted((tmp_path / "e" / "runs").glob("*/run.json"))):
        os.utime(path, (0, 1000 + number))
    ablation = analyse(load(tmp_path / "e"))
    contents = []
    for place in ("first", "second"):
        write_events(ablation, tmp_path / place)
        files = sorted((tmp_path / place).rglob("events.*"), key=lambda file: file.parent)
        contents.append([(file.parent.name, file.read_bytes()) for file in files[1:]])
    assert contents[0] == contents[1]
    assert {event.wall_time for event in events_of(tmp_path / "first")} == {1005.0}


def test_the_text_is_the_table_of_the_report(tmp_path: Path) -> None:
    make_run(tmp_path / "e", "none", 0)
    make_run(tmp_path / "e", "<b>x|y</b>", 0, accuracy=0.9)
    text = text_of(written(tmp_path / "e"), "report")
    assert text.startswith(write_markdown(analyse(load(tmp_path / "e"))))
    assert r"&lt;b&gt;x\|y&lt;/b&gt;" in text


def odd_data(root: Path) -> Iterator[None]:
    root.mkdir()
    yield  # no runs
    make_run(root, curves={})
    yield  # a run without curves
    make_run(root, seed=1, curves=accuracies({10: 0.5}))
    yield  # a single point
    make_run(
        root, "huge", curves={"val/accuracy": {10: 1e100, 20: -1e300}, "a(b)[c": {0: 1.0}, "only_nan": {1: math.nan}}
    )
    yield
    make_run(root, "../../<script>\n\0/ü", curves=accuracies({10: 0.5}))
    yield
    make_run(root, "running", status="running", environment={}, curves=accuracies({10: 0.5}))
    yield


def test_odd_data_never_stop_a_report(tmp_path: Path) -> None:
    for number, _ in enumerate(odd_data(tmp_path / "e")):
        report = tmp_path / f"report{number}"
        ablation = analyse(load(tmp_path / "e"))
        write_events(ablation, report)
        assert "report" in tensors_of(report)
        runs = list((report / "variants").glob("*"))
        assert len(runs) == len(ablation.variants)


@pytest.mark.parametrize(
    ("name", "directory"),
    [
        ("tf_nn", "1_tf_nn"),
        ("normalizer=tf_nn, optimizer.lr=0.1", "1_normalizer=tf_nn_optimizer.lr=0.1"),
        ("../x", "1_.._x"),
        ("β=½", "1_β=½"),
    ],
)
def test_directory_names_of_variants_stay_readable(name: str, directory: str) -> None:
    assert name_directories([variant(name)]) == [directory]


def test_directory_names_keep_the_order_of_the_report() -> None:
    names = name_directories([variant(f"v{number}") for number in reversed(range(12))])
    assert names[0] == "01_v11"
    assert names == sorted(names)


@given(names=st.lists(st.text(), unique=True, max_size=12))
@settings(max_examples=200, deadline=None)
def test_directory_names_are_distinct_and_safe(names: list[str]) -> None:
    found = name_directories([variant(name) for name in (*names, "x" * 500, "X" * 500)])
    assert len({name.casefold() for name in found}) == len(found)
    for name in found:
        assert Path(name).name == name
        assert not name.startswith(".")
        assert 0 < len(name.encode()) <= 255
