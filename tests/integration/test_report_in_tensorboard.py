"""What TensorBoard makes of a report beside its runs, asked over HTTP, and looked at where there is a browser."""

import shutil
import socket
import subprocess
import sys
import urllib.error
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import pytest

from normlab.report.build import build
from normlab.report.load import Run, load
from normlab.training.loggers import RunTensorBoardLogger, collect_hyperparameters

from ..report.made_runs import make_ablation, make_run
from .conftest import wait_for
from .test_tensorboard import ask, session_request

METRICS = ["val/accuracy", "val/loss", "train_batch/loss"]
VARIANTS = {"report/variants/1_none", "report/variants/2_batch", "report/variants/3_tf_nn"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass(frozen=True)
class Server:
    root: Path
    port: int

    def ask(self, route: str, **query: str) -> Any:
        return ask(self.port, f"{route}?{urlencode(query)}" if query else route)

    def curve(self, run: str, tag: str) -> list[tuple[int, float]]:
        return [(step, value) for _, step, value in self.ask("plugin/scalars/scalars", run=run, tag=tag)]


@pytest.fixture(scope="module")
def tensorboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a TensorBoard that has loaded nine runs and their report, and looks for new files every second."""
    root = tmp_path_factory.mktemp("outputs") / "deep"
    make_ablation(root, seeds=3)
    for run in load(root).details:
        log_events(run)
    build([root])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["-m", "tensorboard.main", "--logdir", str(root), "--port", str(port), "--reload_interval", "1"]
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Server(root, port)
    try:
        loaded = len(list(root.glob("runs/*"))) + len(VARIANTS)
        wait_for(answered(lambda: len(server.ask("plugin/scalars/tags")) == loaded and server.ask("plugin/text/tags")))
        yield server
    finally:
        process.terminate()
        process.wait(timeout=20)


def log_events(run: Run) -> None:
    """Write the events that a run writes while it trains."""
    logger = RunTensorBoardLogger(run.directory.path, collect_hyperparameters(run.record.choices, run.config))
    for step, rows in pd.read_csv(run.directory.metrics).groupby("step"):
        logger.log_metrics(dict(zip(rows["name"], rows["value"], strict=True)), int(str(step)))
    logger.end_session()


def answered(condition: Callable[[], object]) -> Callable[[], object]:
    """Return the condition, false as long as the server does not answer."""

    def holds() -> object:
        try:
            return condition()
        except (urllib.error.URLError, ConnectionError, KeyError):
            return False

    return holds


def test_custom_scalars_open_with_the_comparison_of_variants(tensorboard: Server) -> None:
    (comparison,) = tensorboard.ask("plugin/custom_scalars/layout")["category"]
    assert comparison["title"].startswith("Variants")
    assert not comparison.get("closed")
    assert sorted(chart["title"] for chart in comparison["chart"]) == sorted(METRICS)
    for chart in comparison["chart"]:
        (series,) = chart["margin"]["series"]
        for run in VARIANTS:
            lower, value, upper = (tensorboard.curve(run, series[end]) for end in ("lower", "value", "upper"))
            assert [step for step, _ in lower] == [step for step, _ in value] == [step for step, _ in upper]
            assert all(a[1] < b[1] < c[1] for a, b, c in zip(lower, value, upper, strict=True))


def test_variants_have_the_tags_of_the_runs_and_their_intervals_in_one_group(tensorboard: Server) -> None:
    tags = tensorboard.ask("plugin/scalars/tags")
    assert {run for run in tags if run.startswith("report")} == VARIANTS
    for run, own in tags.items():
        assert set(METRICS) <= set(own)
        further = {tag.partition("/")[0] for tag in own if tag not in METRICS}
        assert further == ({"variants"} if run in VARIANTS else {"normalizer"})
    assert set(tensorboard.ask("runs")) == {*tags, "report"}


def test_the_text_of_the_report_has_its_table(tensorboard: Server) -> None:
    assert {run: set(tags) for run, tags in tensorboard.ask("plugin/text/tags").items()} == {"report": {"report"}}
    (text,) = tensorboard.ask("plugin/text/text", run="report", tag="report")
    assert "<table>" in text["text"]
    assert text["text"].count("Largest effect on val/accuracy: ") == 1


def test_hparams_list_the_training_runs_alone(tensorboard: Server) -> None:
    groups = ask(tensorboard.port, "plugin/hparams/session_groups", session_request())["sessionGroups"]
    assert len(groups) == 9
    for group in groups:
        (session,) = group["sessions"]
        assert session["name"].startswith("runs/")
        assert {value["name"]["tag"] for value in group["metricValues"]} >= set(METRICS)
    metrics = ask(tensorboard.port, "plugin/hparams/experiment", {"experimentName": ""})["metricInfos"]
    assert not [metric["name"] for metric in metrics if metric["name"]["tag"].startswith("variants/")]


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_the_custom_scalars_page_draws_all_charts_and_warns_of_nothing(tensorboard: Server) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{tensorboard.port}/#custom_scalars")
        margins = page.locator("tf-custom-scalar-margin-chart-card")
        playwright.expect(margins).to_have_count(len(METRICS), timeout=20_000)
        for card in margins.all():  # all that have a chart's tags
            playwright.expect(card.get_by_text("Matches (3)")).to_be_visible(timeout=20_000)
        for card in margins.all():
            playwright.expect(card.locator("path.area[d^=M]")).to_have_count(3)
        assert [card.evaluate("card => card.title") for card in margins.all()] == METRICS
        assert page.locator(".error-content").count() == 0
        browser.close()


def test_a_report_built_anew_replaces_what_an_open_tensorboard_shows(tensorboard: Server) -> None:
    before = tensorboard.curve("report/variants/1_none", "val/accuracy")
    build([tensorboard.root])
    make_run(tensorboard.root, "none", 3, curves={"val/accuracy": dict.fromkeys(dict(before), 0.5)})
    build([tensorboard.root])
    wait_for(answered(lambda: tensorboard.curve("report/variants/1_none", "val/accuracy") != before))
    after = tensorboard.curve("report/variants/1_none", "val/accuracy")
    assert [step for step, _ in after] == [step for step, _ in before]
    assert [value for _, value in after] == pytest.approx([(3 * value + 0.5) / 4 for _, value in before], rel=1e-5)
    assert {run for run in tensorboard.ask("runs") if not run.startswith("runs/")} == {*VARIANTS, "report"}
    assert len(tensorboard.ask("plugin/text/text", run="report", tag="report")) == 1
    assert len(tensorboard.ask("plugin/custom_scalars/layout")["category"]) == 1
