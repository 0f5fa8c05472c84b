"""Figures of a report: content, legibility and robustness to unusual data."""

import dataclasses
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text

from normlab.report.ablation import Ablation
from normlab.report.analysis import analyse
from normlab.report.figures import draw
from normlab.report.figures.curves import draw_curves
from normlab.report.figures.drawing import GREYS, Drawing, Figure, assign_styles, save, use_style
from normlab.report.figures.factors import draw_heatmap, draw_sensitivity
from normlab.report.figures.finals import draw_finals
from normlab.report.figures.layers import draw_layers
from normlab.report.figures.preprocessing import draw_preprocessing
from normlab.report.figures.selection import Selection, select
from normlab.report.load import Results, load
from normlab.report.statistics import summarize
from tests.report.made_runs import make_ablation, make_run

PUBLISHED = {"tf_nn": {"val/accuracy": 0.95, "curves": {"val/accuracy": {"20": 0.5, "60": 0.9}}}}
ODD_NAMES = ("$x^2$", "a_b", "_c", "100%", "a<b&c", "\\frac", "日本", "a long name of words, " * 5)


@pytest.fixture(autouse=True)
def _in_style() -> Iterator[None]:
    with use_style():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Ablation:
    root = tmp_path_factory.mktemp("made") / "deep"
    make_ablation(root, published=PUBLISHED)
    return analyse(load(root))


@pytest.fixture(scope="module")
def drawn(made: Ablation, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Figure]]:
    directory = tmp_path_factory.mktemp("drawn")
    return directory, draw(made, directory)


def words(file: Path) -> list[str]:
    """Return all texts of an SVG."""
    elements = ElementTree.parse(file).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(element.itertext()) for element in elements]


def ids(file: Path) -> set[str]:
    return {element.get("id", "") for element in ElementTree.parse(file).iter()}


def by_name(drawings: Iterator[Drawing]) -> dict[str, Drawing]:
    return {drawing.name: drawing for drawing in drawings}


def texts(canvas: Canvas) -> list[str]:
    return [text.get_text() for text in canvas.findobj(Text) if isinstance(text, Text)]


def band_of(canvas: Canvas) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the corners (N, 2) of the first variant's interval."""
    band = next(artist for artist in canvas.axes[0].collections if artist.get_gid() == "interval-0")
    return np.asarray(band.get_paths()[0].vertices, dtype=np.float64)


def runs_of(root: Path, *names: str, seeds: int = 2, **more: Any) -> Ablation:
    for place, name in enumerate(names):
        for seed in range(seeds):
            make_run(root, name, seed, accuracy=0.1 * place + 0.01 * seed, **more)
    return analyse(load(root))


def grid_of(
    root: Path, normalizers: Mapping[str, int], rates: list[float], without: tuple[str, float] = ("", 0)
) -> Ablation:
    for normalizer, seeds in normalizers.items():
        for rate in rates:
            for seed in range(seeds if (normalizer, rate) != without else 0):
                settings = {"optimizer": {"lr": rate}}
                accuracy = 0.9 - 0.1 * abs(math.log10(rate / 0.1)) + 0.01 * seed
                make_run(root, normalizer, seed, accuracy=accuracy, config=settings, curves={})
    return analyse(load(root))


def test_every_figure_is_written_in_both_formats_and_returned_in_reading_order(
    drawn: tuple[Path, list[Figure]],
) -> None:
    directory, figures = drawn
    names = [figure.name for figure in figures]
    expected = [
        "curves_val_accuracy",
        "curves_val_loss",
        "curves_train_batch_loss",
        "final_val_accuracy",
        "final_val_loss",
        "preprocessing",
        "normalizer_inputs",
        "running_statistics",
    ]
    assert [name for name in names if name in expected] == expected
    assert {file.name for file in directory.iterdir()} == {
        f"{name}.{kind}" for name in names for kind in ("png", "svg")
    }
    assert all(figure.title and figure.caption.endswith(".") and figure.alternative.endswith(".") for figure in figures)


def test_curves_name_their_axes_and_variants_in_text(drawn: tuple[Path, list[Figure]]) -> None:
    directory, figures = drawn
    assert {"steps", "val/accuracy", "none", "batch", "tf_nn", "published"} <= set(
        words(directory / "curves_val_accuracy.svg")
    )
    assert "n = 5" in figures[0].caption
    assert "Student's t" in figures[0].caption
    assert "tf_nn 0.9575" in figures[0].alternative


def test_published_values_are_named_only_if_there_are_any(drawn: tuple[Path, list[Figure]]) -> None:
    directory, _ = drawn
    assert "published" in words(directory / "final_val_accuracy.svg")
    assert "published" not in words(directory / "final_val_loss.svg")


def test_intervals_are_drawn_for_three_runs_but_not_for_two(tmp_path: Path) -> None:
    for seed in range(2):
        make_run(tmp_path / "x", "none", seed)
    for seed in range(3):
        make_run(tmp_path / "x", "batch", seed)
    draw(analyse(load(tmp_path / "x")), tmp_path / "out")
    intervals = {name for name in ids(tmp_path / "out" / "curves_val_accuracy.svg") if name.startswith("interval-")}
    assert intervals == {"interval-1"}


def test_the_band_is_the_interval_of_the_mean(made: Ablation) -> None:
    canvas = by_name(draw_curves(made, select(made)))["curves_val/accuracy"].canvas
    last = [run.record.metrics["val/accuracy"] * (1 - 0.5**10) for run in made.variants[0].runs]
    expected = summarize(last).interval
    outline = band_of(canvas)
    at_end = outline[outline[:, 0] == 100, 1]
    assert (at_end.min(), at_end.max()) == pytest.approx((expected.low, expected.high))


def test_equal_data_give_equal_bytes_whatever_matplotlib_was_set_to(
    made: Ablation, drawn: tuple[Path, list[Figure]], tmp_path: Path
) -> None:
    directory, _ = drawn
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        figures = draw(dataclasses.replace(made, metrics=made.metrics[:1], results=_without_losses(made)), tmp_path)
    assert len(figures) == 5
    for file in tmp_path.iterdir():
        assert (directory / file.name).read_bytes() == file.read_bytes(), file.name


def _without_losses(ablation: Ablation) -> Results:
    """Return results with the curves of accuracies alone, which halves the drawing time."""
    kept = ablation.results.curves["name"].astype(str).str.endswith("accuracy")
    return dataclasses.replace(ablation.results, curves=ablation.results.curves[kept])


def test_drawing_leaves_the_settings_of_matplotlib_alone(tmp_path: Path) -> None:
    with matplotlib.rc_context({"font.size": 30}):
        draw(runs_of(tmp_path / "x", "none"), tmp_path / "out")
        assert matplotlib.rcParams["font.size"] == 30


def test_no_runs_give_no_figures(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    empty = Ablation(load(tmp_path / "x"), [], [], "val/accuracy", [], "", [])
    assert draw(empty, tmp_path / "out") == []
    assert not (tmp_path / "out").exists()


def test_one_run_is_drawn_without_an_interval(tmp_path: Path) -> None:
    figures = draw(runs_of(tmp_path / "x", "none", seeds=1), tmp_path / "out")
    assert "n = 1" in figures[0].caption
    assert "interval" not in figures[0].caption
    assert "mean, 95 % interval" not in words(tmp_path / "out" / "final_val_accuracy.svg")


def test_names_are_literal_and_no_text_leaves_the_page(tmp_path: Path) -> None:
    rows = {f"normalizer/{layer}/input_p50": {1: 0.0, 2: 1.0} for layer in ("$a$.0", "b" * 90)}
    odd = runs_of(tmp_path / "x", *ODD_NAMES[:-1], curves={"val/$q$": {1: 0.1, 2: 0.2}, **rows})
    long = runs_of(
        tmp_path / "y", *(name[:60] for name in ODD_NAMES[-2:]), curves={"metric/" * 30: {1: 0.1, 2: 0.2}, **rows}
    )
    for ablation in (odd, long):
        selection = select(ablation)
        for draw_one in (draw_curves, draw_finals, draw_layers):
            drawing = next(draw_one(ablation, selection))
            canvas = drawing.canvas
            save(canvas, tmp_path, "literal" if ablation is odd and draw_one is draw_curves else "other")
            extent = canvas.get_tightbbox()
            assert min(extent.x0, extent.y0) >= -0.02, drawing.name
            assert extent.x1 <= canvas.get_figwidth() + 0.02, drawing.name
            assert extent.y1 <= canvas.get_figheight() + 0.02, drawing.name
    assert {*ODD_NAMES[:-1], "val/$q$"} <= set(words(tmp_path / "literal.svg"))


@pytest.mark.parametrize(
    "values",
    [
        {1: math.nan, 2: math.nan},
        {1: math.nan, 2: 0.5, 3: math.inf},
        {1: 0.0, 2: 0.0},
        {1: 1e300, 2: -1e140, 3: 1e140, 10**15: 1.0},
        {7: -1.0},
        {},
    ],
)
def test_figures_are_drawn_from_unusual_values(values: dict[int, float], tmp_path: Path) -> None:
    quantities = ("input_p15", "input_p50", "input_p85", "variance_ratio", "mean_offset")
    rows = {"val/loss": values, **{f"normalizer/dense.0/{quantity}": values for quantity in quantities}}
    with np.errstate(all="ignore"):
        ablation = runs_of(
            tmp_path / "x", "none", "batch", curves=rows, metrics={"val/loss": next(iter(values.values()), math.nan)}
        )
    names = {figure.name for figure in draw(ablation, tmp_path / "out")}
    drawn = any(abs(value) < 1e150 for value in values.values())
    # A curve of one point is a final value, which has a figure of its own.
    assert ("curves_val_loss" in names, "normalizer_inputs" in names) == (drawn and len(values) > 1, drawn)


def test_curves_of_different_lengths_have_intervals_as_far_as_three_runs_go(tmp_path: Path) -> None:
    for seed in range(4):
        points = {step: 0.1 * step + 0.01 * seed for step in range(1, 3 + 2 * seed)}
        make_run(tmp_path / "x", "none", seed, curves={"val/accuracy": points})
    ablation = analyse(load(tmp_path / "x"))
    canvas = by_name(draw_curves(ablation, select(ablation)))["curves_val/accuracy"].canvas
    assert band_of(canvas)[:, 0].max() == 4
    assert np.max(np.asarray(canvas.axes[0].lines[0].get_xdata())) == 8


def test_runs_without_curves_have_final_values_alone(tmp_path: Path) -> None:
    for seed in range(2):
        (make_run(tmp_path / "x", "none", seed) / "metrics.csv").unlink()
    names = [figure.name for figure in draw(analyse(load(tmp_path / "x")), tmp_path / "out")]
    assert names == ["final_val_accuracy", "final_val_loss"]


def test_names_that_make_one_file_name_make_two_files(tmp_path: Path) -> None:
    ablation = runs_of(tmp_path / "x", "none", curves={}, metrics={"a/b": 0.1, "a_b": 0.2, "../c": 0.3})
    assert [figure.name for figure in draw(ablation, tmp_path / "out")] == ["final_a_b", "final_a_b_", "final_.._c"]


def test_a_diverged_run_is_drawn_as_far_as_it_goes_and_does_not_stretch_the_axis(tmp_path: Path) -> None:
    for seed in range(3):
        make_run(tmp_path / "x", "none", seed, curves={"val/loss": {1: 0.7, 2: 0.02, 3: 0.01 + seed / 1000}})
    make_run(tmp_path / "x", "none", 3, status="diverged", curves={"val/loss": {1: 0.7, 2: 1e30}})
    ablation = analyse(load(tmp_path / "x"))
    canvas = by_name(draw_curves(ablation, select(ablation)))["curves_val/loss"].canvas
    axes = canvas.axes[0]
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[1] < 10
    thin = next(artist for artist in axes.collections if isinstance(artist, LineCollection))
    assert [len(np.asarray(path.vertices)) for path in thin.get_paths()] == [3, 3, 3, 2]
    assert "diverged" in texts(canvas)


@pytest.mark.parametrize(("lowest", "scale"), [(0.01, "log"), (0.1, "linear"), (0.0, "linear")])
def test_losses_that_span_tenfold_have_a_logarithmic_axis(lowest: float, scale: str, tmp_path: Path) -> None:
    curve = {"val/loss": {1: 0.5, 2: lowest}, "val/accuracy": {1: 0.5, 2: lowest}}
    ablation = runs_of(tmp_path / "x", "none", curves=curve)
    figures = by_name(draw_curves(ablation, select(ablation)))
    assert figures["curves_val/loss"].canvas.axes[0].get_yscale() == scale
    assert figures["curves_val/accuracy"].canvas.axes[0].get_yscale() == "linear"


def test_baselines_are_black_or_grey_and_no_two_lines_have_the_same_style() -> None:
    styles = assign_styles([True, *[False] * 6, True])
    assert [style.colour for style in styles if style.colour in GREYS] == [styles[0].colour, styles[7].colour]
    for part in ("colour", "dashes", "marker"):
        assert len({getattr(style, part) for style in styles}) == 8


def test_of_many_variants_the_baseline_and_the_best_are_shown_which_a_note_says(tmp_path: Path) -> None:
    ablation = runs_of(tmp_path / "x", "none", *(f"n{number:02}" for number in range(26)), seeds=1, curves={})
    selected = [variant.name for variant in select(ablation).variants]
    assert selected == ["none", *(f"n{number:02}" for number in range(3, 26))]
    draw(ablation, tmp_path / "out")
    assert "24 of 27 variants" in ablation.notes[-1]


def test_final_values_are_one_dot_a_seed_always_at_the_same_place(made: Ablation) -> None:
    places = []
    for _ in range(2):
        axes = next(draw_finals(made, select(made))).canvas.axes[0]
        places.append(np.concatenate([line.get_xydata() for line in axes.lines]))
    assert len(places[0]) == 15
    np.testing.assert_array_equal(places[0], places[1])


def test_a_variant_without_a_finished_run_keeps_its_row(tmp_path: Path) -> None:
    make_run(tmp_path / "x", "none", 0, status="diverged")
    make_run(tmp_path / "x", "batch", 0)
    ablation = analyse(load(tmp_path / "x"))
    drawing = next(draw_finals(ablation, select(ablation)))
    assert "no result" in texts(drawing.canvas)
    assert "none no result" in drawing.describe()


def test_final_values_too_large_to_draw_are_left_out(tmp_path: Path) -> None:
    for seed, value in enumerate((1e308, -1e308)):  # their mean is 0
        make_run(tmp_path / "x", "none", seed, metrics={"huge": value, "a": 0.5}, curves={})
    with np.errstate(all="ignore"):
        figures = draw(analyse(load(tmp_path / "x")), tmp_path / "out")
    assert [figure.name for figure in figures] == ["final_a"]


def test_two_factors_make_a_heatmap_with_numbers_in_order_and_empty_cells_hatched(tmp_path: Path) -> None:
    ablation = grid_of(tmp_path / "x", {"none": 3, "batch": 3, "layer": 2}, [1.5, 0.1, 0.02], without=("batch", 1.5))
    drawing = next(draw_heatmap(ablation, select(ablation)))
    axes = drawing.canvas.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.02", "0.1", "1.5"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("optimizer.lr", "normalizer")
    assert axes.patch.get_hatch()
    assert np.isnan(np.asarray(axes.images[0].get_array(), dtype=float)).sum() == 1
    inside = [text.get_text() for text in axes.texts]
    assert inside.count("0.905") == 1
    assert "0.910" in inside
    assert "n = 2 to 3 runs" in drawing.caption


def test_three_factors_make_a_heatmap_with_a_panel_for_each_value_of_the_smallest(tmp_path: Path) -> None:
    for normalizer in ("none", "batch"):
        for lr in (0.1, 0.2, 0.4):
            for width in (4, 8, 16):
                config = {"optimizer": {"lr": lr}, "model": {"width": width}}
                make_run(tmp_path / "e", normalizer, accuracy=lr + width / 100, config=config)
    ablation = analyse(load(tmp_path / "e"))
    (drawing,) = draw_heatmap(ablation, select(ablation))
    panels = [axes for axes in drawing.canvas.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["none", "batch"]
    assert all(len(axes.texts) == 9 for axes in panels)
    assert "normalizer=batch, optimizer.lr=0.4, model.width=16 0.56" in drawing.describe()


def test_one_factor_makes_no_heatmap(made: Ablation) -> None:
    assert list(draw_heatmap(made, select(made))) == []
    assert list(draw_sensitivity(made, select(made))) == []


def test_a_numeric_factor_makes_a_line_for_each_combination_of_the_others(tmp_path: Path) -> None:
    ablation = grid_of(tmp_path / "x", {"none": 2, "batch": 2}, [0.3, 0.1, 0.03])
    (drawing,) = draw_sensitivity(ablation, select(ablation))
    canvas = drawing.canvas
    assert drawing.name == "sensitivity_optimizer.lr"
    assert canvas.axes[0].get_xscale() == "log"
    assert {"none", "batch", "optimizer.lr", "val/accuracy"} <= set(texts(canvas))
    assert np.asarray(canvas.axes[0].lines[0].get_xdata()).tolist() == [0.03, 0.1, 0.3]


def test_two_values_make_no_line(tmp_path: Path) -> None:
    ablation = grid_of(tmp_path / "x", {"none": 1, "batch": 1}, [0.1, 0.2])
    assert list(draw_sensitivity(ablation, select(ablation))) == []


def test_preprocessing_has_a_row_for_each_choice_whose_inputs_can_be_read(tmp_path: Path) -> None:
    for place, name in enumerate(("unit", "zca", "cut", "pickled")):
        path = make_run(tmp_path / "x", choices={"preprocessing": name}, config={"preprocessing": name})
        images = np.zeros((3, 3 if place else 1, 4, 4), np.uint8)
        arrays: dict[str, Any] = {"cloud": np.ones((5, 2)), "cloud_after": np.full((5, 2), np.nan)}
        arrays |= {"images": images, "images_after": images - 0.5}
        arrays |= {"cloud": np.array([{}])} if name == "pickled" else {}
        np.savez(path / "inputs.npz", **arrays)
        if name == "cut":
            (path / "inputs.npz").write_bytes((path / "inputs.npz").read_bytes()[:100])
    ablation = analyse(load(tmp_path / "x"))
    drawing = next(draw_preprocessing(ablation, select(ablation)))
    assert [axes.get_ylabel() for axes in drawing.canvas.axes[::4]] == ["unit", "zca"]
    assert drawing.title == "Inputs before and after preprocessing: unit, zca"
    assert all(axes.get_aspect() == 1 for axes in drawing.canvas.axes)


def test_normalizer_inputs_are_of_a_finished_run_of_each_variant_and_of_four_layers(tmp_path: Path) -> None:
    rows = {f"normalizer/c.{layer}/input_{p}": {1: 0.0, 2: 1.0} for layer in range(12) for p in ("p15", "p50", "p85")}
    make_run(tmp_path / "x", "none", 0, status="diverged", curves=rows)
    for name, seed in (("none", 1), ("none", 2), ("batch", 1)):
        make_run(tmp_path / "x", name, seed, curves=rows)
    ablation = analyse(load(tmp_path / "x"))
    drawing = next(draw_layers(ablation, select(ablation)))
    axes = drawing.canvas.axes
    assert drawing.caption.endswith("seed 1.")
    assert [each.get_ylabel() for each in axes[::2]] == ["c.0", "c.4", "c.7", "c.11"]
    assert [each.get_title() for each in axes[:2]] == ["none", "batch"]


def test_running_statistics_leave_out_variants_that_keep_none(made: Ablation) -> None:
    canvas = by_name(draw_layers(made, select(made)))["running_statistics"].canvas
    assert [axes.get_title() for axes in canvas.axes] == ["batch", "tf_nn", "", ""]
    assert {"dense.0", "dense.1", "steps"} <= set(texts(canvas))


def draw_nothing_new(ablation: Ablation, selection: Selection) -> Iterator[Drawing]:
    yield from draw_heatmap(ablation, selection)
    canvas = Canvas(figsize=(3, 1))
    yield Drawing(canvas, "mine", "Mine", f"Of {len(selection.variants)} variants.")
    raise KeyError("no such layer")


def test_an_experiments_own_figures_follow_ours_and_one_that_fails_is_noted(tmp_path: Path) -> None:
    names = [f"{__name__}.draw_nothing_new", "no.such.draw"]
    make_run(tmp_path / "x", curves={}, metrics={"a": 0.5}, report={"figures": names})
    ablation = analyse(load(tmp_path / "x"))
    assert [figure.name for figure in draw(ablation, tmp_path / "out")] == ["final_a", "mine"]
    assert (tmp_path / "out" / "mine.png").exists()
    assert ablation.notes[-2:] == [
        f"The figure {names[0]} is left out: KeyError: 'no such layer'",
        "The figure no.such.draw is left out: ModuleNotFoundError: No module named 'no'",
    ]


def test_figures_need_neither_torch_nor_pyplot() -> None:
    program = "import sys, normlab.report.figures; print({'torch', 'matplotlib.pyplot'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"
