"""What is read from run directories, and that damaged ones cost a line each and never the report."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normlab.report.analysis import analyse
from normlab.report.load import Results, load
from normlab.report.observations import read_observations
from normlab.runs.directory import RunDirectory
from normlab.runs.ownership import own
from tests.report.made_runs import make_ablation, make_run, write_curves


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep_cnn"


def change(path: Path, **fields: Any) -> None:
    """Put other values into a record."""
    file = path / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def only_problem(results: Results) -> str:
    (problem,) = results.problems
    return problem


def rows_of(results: Results) -> list[list[Any]]:
    return results.curves[["step", "name", "value"]].to_numpy().tolist()


# Frames


def test_a_row_per_run_tells_what_it_was_and_how_it_ended(root: Path) -> None:
    path = make_run(root, "batch", 3, accuracy=0.75)
    make_run(root, "none", 3, accuracy=0.25)
    results = load(root)
    assert results.problems == ()
    assert results.directories == (root,)
    assert results.runs.index.name == "run_id"
    assert results.runs.loc[path.name].to_dict() == pytest.approx(
        {
            "experiment": "deep_cnn",
            "variant": "batch",
            "seed": 3,
            "status": "finished",
            "steps": 100,
            "seconds": 2.0,
            "steps_per_second": 50.0,
            "diverged_at": None,
            "precision": "32-true",
            "device": "cpu",
            "path": str(path),
            "normalizer": "batch",
            "val/accuracy": 0.75,
            "val/loss": 0.25,
        },
        nan_ok=True,
    )


def test_a_row_per_observation_tells_run_variant_and_seed(root: Path) -> None:
    path = make_run(root, "batch", 3, curves={"val/accuracy": {10: 0.25, 20: 0.5}, "val/loss": {10: 1.5}})
    curves = load(root).curves
    assert curves.astype({"name": "str", "run_id": "str", "variant": "str"}).to_dict("records") == [
        {"run_id": path.name, "variant": "mlp-batch", "seed": 3, "step": step, "name": name, "value": value}
        for step, name, value in ((10, "val/accuracy", 0.25), (10, "val/loss", 1.5), (20, "val/accuracy", 0.5))
    ]


def test_columns_have_types_that_one_can_compute_with(root: Path) -> None:
    for normalizer, seed, lr in (("none", 0, 0.1), ("none", 1, 1), ("batch", 1, 1.0)):
        make_run(root, normalizer, seed, config={"optimizer": {"lr": lr}})
    results = load(root)
    runs, curves = results.runs.dtypes, results.curves.dtypes
    assert (runs["seed"], runs["steps"]) == ("int64", "int64")
    assert (runs["val/accuracy"], runs["seconds"], runs["optimizer.lr"]) == ("float64", "float64", "float64")
    assert (curves["step"], curves["seed"], curves["value"]) == ("int64", "int64", "float64")
    assert list(results.curves.index) == list(range(len(results.curves)))
    for column in ("run_id", "variant", "name"):
        assert isinstance(curves[column], pd.CategoricalDtype), column


def test_a_factor_of_words_and_numbers_keeps_both(root: Path) -> None:
    for warmup in ("auto", 5, 10):
        make_run(root, config={"optimizer": {"warmup": warmup}})
    assert sorted(load(root).runs["optimizer.warmup"], key=str) == [10.0, 5.0, "auto"]


def test_runs_are_sorted_by_variant_and_seed_whatever_their_hashes(root: Path) -> None:
    for normalizer, seed in (("none", 10), ("none", 9), ("batch", 2), ("none", 1)):
        make_run(root, normalizer, seed)
    results = load(root)
    assert [(run.variant, run.record.seed) for run in results.details] == [
        ("batch", 2),
        ("none", 1),
        ("none", 9),
        ("none", 10),
    ]
    assert list(results.runs.index) == [run.id for run in results.details]


def test_several_directories_are_read_as_one_and_told_apart_by_experiment(tmp_path: Path) -> None:
    make_run(tmp_path / "one", "none", 0)
    make_run(tmp_path / "other", "batch", 0)
    results = load(tmp_path / "one", str(tmp_path / "other"))
    assert dict(zip(results.runs["variant"], results.runs["experiment"], strict=True)) == {
        "none": "one",
        "batch": "other",
    }
    assert len(load(tmp_path).details) == 2


def test_a_directory_that_is_not_there_is_an_error_that_names_a_remedy(root: Path) -> None:
    make_run(root)
    with pytest.raises(FileNotFoundError) as caught:
        load(root, root / "nothing")
    assert str(caught.value) == (
        f"{root / 'nothing'} is not a directory: name one that normlab wrote, such as outputs/deep_cnn"
    )
    with pytest.raises(FileNotFoundError):
        load(make_run(root, "batch") / "run.json")


def test_a_directory_without_runs_gives_frames_without_rows(tmp_path: Path) -> None:
    results = load(tmp_path)
    assert (len(results.runs), len(results.curves), results.details, results.problems) == (0, 0, (), ())
    assert {"variant", "seed", "status"} <= set(results.runs.columns)
    assert list(results.curves.columns) == ["run_id", "variant", "seed", "step", "name", "value"]


def test_what_describes_single_normalizers_stands_in_no_frame_of_curves(root: Path) -> None:
    curves = {"val/loss": {10: 1.5}, "normalizer/dense.0/mean_offset": {10: 0.5}, "train/normalizer/x": {10: 0.25}}
    path = make_run(root, curves=curves)
    assert rows_of(load(root)) == [[10, "val/loss", 1.5], [10, "train/normalizer/x", 0.25]]
    assert set(read_observations(RunDirectory(path), [])[1]) == set(curves)


def test_values_are_read_to_the_last_bit(root: Path) -> None:
    values = [float(value) for value in np.random.default_rng(0).normal(size=500) * 10.0 ** np.arange(-250, 250)]
    make_run(root, curves={"val/loss": dict(enumerate(values))})
    assert load(root).curves["value"].tolist() == values


def test_values_that_are_not_finite_are_observations_like_others(root: Path) -> None:
    make_run(root, curves={"val/loss": {1: float("nan"), 2: float("inf"), 3: -float("inf")}}, status="diverged")
    results = load(root)
    assert repr(results.curves["value"].tolist()) == "[nan, inf, -inf]"
    assert results.problems == ()


def test_a_run_that_has_not_observed_anything_yet_has_no_curves_and_no_problem(root: Path) -> None:
    (make_run(root, "none") / "metrics.csv").unlink()
    make_run(root, "batch", curves={})
    make_run(root, "tf_nn")
    results = load(root)
    assert set(results.curves["variant"]) == {"tf_nn"}
    assert len(results.runs) == 3
    assert results.problems == ()


def test_a_metric_that_is_not_a_number_is_kept_as_such(root: Path) -> None:
    make_run(root, metrics={"val/accuracy": 0.5, "val/loss": float("nan")})
    results = load(root)
    assert repr(results.runs[["val/accuracy", "val/loss"]].to_numpy().tolist()) == "[[0.5, nan]]"
    assert results.problems == ()


# Status


def test_a_run_that_nobody_makes_any_more_has_died(root: Path) -> None:
    path = make_run(root, status="running")
    assert load(root).runs["status"].tolist() == ["died"]
    with own(path):
        assert load(root).runs["status"].tolist() == ["running"]
    assert load(root).runs["status"].tolist() == ["died"]


@pytest.mark.parametrize("status", ["finished", "diverged"])
def test_a_result_stays_one_whoever_owns_the_directory(root: Path, status: Any) -> None:
    path = make_run(root, status=status)
    with own(path):
        assert load(root).runs["status"].tolist() == [status]


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_run_that_ended_early_is_running_while_a_process_owns_it_again(root: Path, status: Any) -> None:
    path = make_run(root, status=status)
    with own(path):
        assert load(root).runs["status"].tolist() == ["running"]
    assert load(root).runs["status"].tolist() == [status]


def test_a_run_that_diverged_tells_where(root: Path) -> None:
    make_run(root, status="diverged", diverged_at=42)
    assert load(root).runs["diverged_at"].tolist() == [42]


# The same run twice


def test_the_same_directory_given_twice_changes_nothing(root: Path) -> None:
    make_run(root, "none")
    (make_run(root, "batch") / "run.json").write_text("{")
    once = load(root)
    for twice in (load(root, root), load(root.parent, root), load(root, root / "runs", root / ".." / root.name)):
        pd.testing.assert_frame_equal(twice.runs, once.runs)
        pd.testing.assert_frame_equal(twice.curves, once.curves)
        assert len(twice.problems) == len(once.problems) == 1


def test_a_link_to_a_run_is_that_run(root: Path) -> None:
    make_run(root)
    (root.parent / "link").symlink_to(root)
    results = load(root, root.parent / "link")
    assert len(results.runs) == 1
    assert results.problems == ()


@pytest.mark.parametrize("finished_first", [True, False])
def test_of_two_directories_with_one_run_the_finished_one_is_used(tmp_path: Path, finished_first: bool) -> None:
    places = [tmp_path / "a", tmp_path / "b"]
    path, copy = (make_run(place, curves={"val/loss": {1: float(place.name == "a")}}) for place in places)
    assert path.name == copy.name
    change(copy if finished_first else path, status="interrupted", metrics={})
    used, left_out = (path, copy) if finished_first else (copy, path)
    results = load(*places)
    assert results.runs["path"].tolist() == [str(used)]
    assert results.curves["value"].tolist() == [float(finished_first)]
    assert only_problem(results) == f"left out: {left_out} is the same run as {used}"


@pytest.mark.parametrize("status", ["finished", "interrupted"])
def test_of_several_alike_the_first_is_used_and_each_other_is_told(tmp_path: Path, status: Any) -> None:
    paths = [make_run(tmp_path / name, status=status) for name in "abc"]
    results = load(*(tmp_path / name for name in "abc"))
    assert results.runs["path"].tolist() == [str(paths[0])]
    assert results.problems == tuple(f"left out: {path} is the same run as {paths[0]}" for path in paths[1:])


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\nseed: 0\nlist:\n- 1\n- 2\n",
        "seed: &zero 0\nlist: [1, 2]\nother: *zero\n",
        "{seed: 0, list: [1,2]}",
    ],
)
def test_a_config_may_be_written_in_any_way(root: Path, text: str) -> None:
    (make_run(root) / "config.yaml").write_text(text)
    (run,) = load(root).details
    assert (run.config["seed"], run.config["list"]) == (0, [1, 2])


def test_a_run_moved_aside_is_passed_over_in_silence(root: Path) -> None:
    path = make_run(root, accuracy=0.25)
    aside = RunDirectory(path).move_aside()
    assert aside.name.endswith(".old1")
    make_run(root, accuracy=0.5)
    results = load(root)
    assert results.runs["val/accuracy"].tolist() == [0.5]
    assert results.problems == ()


def test_a_normalizer_whose_name_looks_like_moved_aside_is_read(root: Path) -> None:
    path = make_run(root, "batch.older")
    assert ".old" in path.suffix
    assert list(load(root).runs.index) == [path.name]


# Damage


def cut_record(path: Path) -> None:
    text = (path / "run.json").read_text()
    (path / "run.json").write_text(text[: len(text) // 2])


def replace_config(content: bytes) -> Callable[[Path], object]:
    return lambda path: (path / "config.yaml").write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "record cut short": (cut_record, "run.json cannot be read as a record"),
    "record of garbage": (lambda path: (path / "run.json").write_bytes(b"\x00\xff\xfe"), "cannot be read as a record"),
    "record that is empty": (lambda path: (path / "run.json").write_bytes(b""), "cannot be read as a record"),
    "record that is a list": (lambda path: (path / "run.json").write_text("[]"), "is not a record"),
    "record without its seed": (lambda path: (path / "run.json").write_text('{"run_id": "x"}'), "is not a record"),
    "record of another version": (lambda path: change(path, version=99), "its layout is 99, this one reads 1"),
    "record that lies about its id": (lambda path: change(path, run_id="other"), "is the record of another run, other"),
    "record with metrics of words": (lambda path: change(path, metrics={"val/loss": "low"}), "is not a record"),
    "record with a list of choices": (lambda path: change(path, choices=["none"]), "is not a record"),
    "record without metrics": (lambda path: change(path, metrics=None), "is not a record"),
    "record with a list about metrics": (lambda path: change(path, metrics_info=[]), "is not a record"),
    "record with a status of several": (lambda path: change(path, status=["finished"]), "is not a record"),
    "record with a seed of words": (lambda path: change(path, seed="zero"), "is not a record"),
    "config that is missing": (lambda path: (path / "config.yaml").unlink(), "config.yaml"),
    "config that is a folder": (
        lambda path: (path / "config.yaml").rename(path / "old").parent.joinpath("config.yaml").mkdir(),
        "config.yaml",
    ),
    "config that is a list": (replace_config(b"- 1\n- 2\n"), "config.yaml is not a config"),
    "config that is empty": (replace_config(b""), "config.yaml is not a config"),
    "config that is no YAML": (replace_config(b"a: [1, 2\nb"), "left out: "),
    "config of garbage": (replace_config(b"\xff\xfe\x00\x80"), "left out: "),
    "config that calls code": (replace_config(b"seed: !!python/object/apply:os.getcwd []\n"), "could not determine"),
    "config with a number for a group": (replace_config(b"seed: 0\naccelerator: 3\n"), "is not the config of a run"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_left_out_with_a_line_and_the_others_are_read(root: Path, damage: str) -> None:
    make_run(root, "none")
    damaged, told = DAMAGES[damage]
    damaged(make_run(root, "batch"))
    results = load(root)
    assert results.runs["seed"].tolist() == [0]
    assert set(results.curves["run_id"]) == set(results.runs.index)
    problem = only_problem(results)
    assert problem.startswith("left out: ")
    assert told in problem
    assert "\n" not in problem
    assert analyse(results).notes[0] == problem


def with_metrics(root: Path, content: bytes) -> Results:
    path = make_run(root)
    (path / "metrics.csv").write_bytes(content)
    results = load(root)
    assert len(results.runs) == 1  # the run itself is as good as ever
    return results


HEAD = b"step,name,value\n"


@pytest.mark.parametrize(
    ("content", "left"),
    [
        (b"10,a,0.5\n20,a,0.75\n3", [[10, "a", 0.5], [20, "a", 0.75]]),
        (b"10,a,0.5\n20,a", [[10, "a", 0.5]]),
        (b"10,a,0.5\n20,a,", [[10, "a", 0.5]]),
        (b"10,a,0.5\n20,a,0.7", [[10, "a", 0.5]]),  # of 0.75, say
        (b"10,a,0.5\n20,a,\n", [[10, "a", 0.5]]),
        (b"10,a,0.5\n20\n", [[10, "a", 0.5]]),
        (b"10,a,nan\n20,a,\xff\n", [[10, "a", float("nan")]]),
        (b"ten,a,0.5\n20,a,0.5\n", [[20, "a", 0.5]]),
        (b"inf,a,0.5\n20,a,0.5\n", [[20, "a", 0.5]]),
        (b"1.5,a,0.5\n20,a,0.5\n", [[20, "a", 0.5]]),
        (b"99999999999999999999,a,0.5\n20,a,0.5\n", [[20, "a", 0.5]]),
        (b"-99999999999999999999,a,0.5\n20,a,0.5\n", [[20, "a", 0.5]]),
        (b"10,a,0.5\n\n", [[10, "a", 0.5]]),
        (b"10,a,0.5,0.6\n20,a,0.5\n", [[20, "a", 0.5]]),
        (b"1,10,a,0.5\n20,a,0.5\n", [[20, "a", 0.5]]),
        (b"1,2,3,a,0.5\n20,a,0.5\n", [[20, "a", 0.5]]),
        (b'10,"a,0.5\n20,a,0.5\n', [[20, "a", 0.5]]),
        (b"10,a\x00\x0020,a,0.5\n30,a,0.5\n", [[30, "a", 0.5]]),
        (b"10,a,low\n", []),
    ],
)
def test_rows_of_a_curve_that_are_not_whole_are_left_out_and_told(
    root: Path, content: bytes, left: list[list[Any]]
) -> None:
    results = with_metrics(root, HEAD + content)
    assert repr(rows_of(results)) == repr(left)
    assert only_problem(results).endswith("metrics.csv: 1 rows cannot be read and are left out")


def test_rows_that_are_broken_across_lines_are_never_read_as_one(root: Path) -> None:
    results = with_metrics(root, HEAD + b"10\n0.5\n20,a\n,0.5\n30,a,0.5\n10,5\n7,20,a,0.5\n")
    assert rows_of(results) == [[30, "a", 0.5]]
    assert only_problem(results).endswith("metrics.csv: 6 rows cannot be read and are left out")


@pytest.mark.parametrize("content", [b"", b"\n", b"\x00\xff\xfe\x80", b"\x89PNG\r\n\x1a\n" * 9, b"step,value\n1,2\n"])
def test_a_file_that_holds_no_curves_is_told(root: Path, content: bytes) -> None:
    results = with_metrics(root, content)
    assert rows_of(results) == []
    assert "metrics.csv has no curves" in only_problem(results)


def test_a_folder_in_place_of_curves_is_told(root: Path) -> None:
    path = make_run(root)
    (path / "metrics.csv").unlink()
    (path / "metrics.csv").mkdir()
    results = load(root)
    assert len(results.runs) == 1
    assert "metrics.csv has no curves" in only_problem(results)


@pytest.mark.parametrize("end", [b"", b"20"])
def test_names_are_read_as_the_logger_writes_them_commas_and_quotes_included(root: Path, end: bytes) -> None:
    results = with_metrics(root, HEAD + b'10,"a,b",0.5\n20,"a ""b""",0.5\n' + end)
    assert rows_of(results) == [[10, "a,b", 0.5], [20, 'a "b"', 0.5]]


@pytest.fixture(scope="module")
def ablation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fuzzed") / "deep_cnn"
    make_ablation(root, seeds=1)
    write_curves(RunDirectory(make_run(root, "slim")), {"val/loss": {10: 1.5, 20: 0.5}, "val/accuracy": {10: 0.5}})
    return root


@given(
    name=st.sampled_from(["run.json", "config.yaml", "metrics.csv"]),
    start=st.floats(0, 1),
    removed=st.integers(0, 40),
    put=st.one_of(st.binary(max_size=6), st.sampled_from([b"null", b"[]", b"1e999", b",", b"\n", b'"', b": "])),
)
@settings(deadline=None, max_examples=60)
def test_whatever_is_overwritten_in_a_run_the_others_are_read_and_analysed(
    ablation: Path, name: str, start: float, removed: int, put: bytes
) -> None:
    (path,) = (ablation / "runs").glob("mlp-slim-*")
    file = path / name
    whole = file.read_bytes()
    at = int(start * len(whole))
    try:
        file.write_bytes(whole[:at] + put + whole[at + removed :])
        results = load(ablation)
    finally:
        file.write_bytes(whole)
    read = {run.id for run in results.details}
    others = {other.name for other in (ablation / "runs").iterdir()} - {path.name}
    assert read >= others
    assert len(results.problems) >= (path.name not in read)
    assert "val/accuracy" in analyse(results).headline


def test_a_directory_that_is_copied_while_it_is_read_at_another_depth_is_found(root: Path) -> None:
    path = make_run(root)
    deep = root / "a" / "b" / "c"
    deep.mkdir(parents=True)
    shutil.move(path, deep / path.name)
    assert len(load(root).runs) == 1
