"""The page of a report in a real browser: opened from disk, it sorts and opens, for everybody."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from normlab.report.analysis import analyse
from normlab.report.figures.drawing import DOUBLE, SINGLE, Figure, create_canvas, save, use_style
from normlab.report.load import load
from normlab.report.page.rendering import write_page
from normlab.runs.claims import note_claims

from ..report.made_runs import make_ablation, make_run

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
RESULTS, RUNS = "[aria-label^=Results] >> nth=0", "[aria-label=Runs]"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on PATH")


def drawn(directory: Path) -> list[Figure]:
    """Draw a figure of one panel and a broad one."""
    figures = [Figure(name, f"The {name} one", "A line that rises.", "From 0 to 1.") for name in ("small", "broad")]
    with use_style():
        for figure, width in zip(figures, (SINGLE, DOUBLE), strict=True):
            panel = create_canvas(width, 2)
            panel.subplots().plot([0, 1])
            save(panel, directory, figure.name)
    return figures


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the address of a page with finished, failed and diverged runs."""
    root = tmp_path_factory.mktemp("outputs") / "deep"
    published = {"tf_nn": {"val/accuracy": 0.95}}
    make_ablation(root, seeds=7, report={"threshold": 0.9}, published=published)
    make_run(root, "alone", 0, accuracy=0.5)
    make_run(root, "broken", 0, status="failed", error="Traceback\nRuntimeError: <b>too warm</b>")
    make_run(root, "broken", 1, status="diverged", diverged_at=12)
    claims = {"helps": {"over": "none", "by": 0.5}, "same": {"of": "batch", "like": "tf_nn", "within": 0.01}}
    note_claims(root, {name: {"says": "It holds.", **claim} for name, claim in claims.items()})
    ablation = analyse(load(root))
    place = root / "report"
    (place / "figures").mkdir(parents=True)
    write_page(ablation, drawn(place / "figures"), place, place)
    return (place / "index.html").as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Opened:
    """The page, with what it asked for and complained of."""

    def __init__(self, browser: Any, address: str) -> None:
        self.context = browser.new_context()
        self.page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)


@pytest.fixture
def opened(browser: Any, address: str) -> Iterator[Opened]:
    """The page just opened; whatever a test does, nothing may be complained of, and nothing asked of a network."""
    opened = Opened(browser, address)
    yield opened
    opened.context.close()
    assert not opened.complaints
    assert not [url for url in opened.requests if not url.startswith(("file:", "data:"))]


def column(page: Any, table: str, number: int) -> list[str]:
    found: list[str] = page.locator(f"{table} >> tbody tr > *:nth-child({number})").all_inner_texts()
    return [text.split("\n")[0].strip() for text in found]


def test_a_heading_sorts_its_table_either_way_and_what_is_missing_stays_last(opened: Opened) -> None:
    page = opened.page
    heading = page.locator(RESULTS).locator("th", has_text="Mean ± sd")
    assert column(page, RESULTS, 1) == ["none", "alone", "batch", "broken", "tf_nn"]
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert column(page, RESULTS, 1) == ["none", "alone", "batch", "tf_nn", "broken"]
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert column(page, RESULTS, 1) == ["tf_nn", "batch", "alone", "none", "broken"]


def test_equal_rows_keep_their_order(opened: Opened) -> None:
    page = opened.page
    before = column(page, RUNS, 2)
    page.locator(RUNS).get_by_role("button", name="Seed").click()
    assert column(page, RUNS, 3) == sorted(column(page, RUNS, 3))
    assert column(page, RUNS, 2)[:5] == list(dict.fromkeys(before))


def test_a_run_opens_by_keyboard_and_shows_its_error_and_links_to_its_files(opened: Opened) -> None:
    page = opened.page
    row = page.locator(f"{RUNS} tr", has_text="failed")
    row.locator("summary").press("Enter")
    for words in ("RuntimeError: <b>too warm</b>", "run.json", "run.log"):
        assert words in row.inner_text()
    assert not row.locator("b").count()
    page.keyboard.press("Enter")
    assert not row.locator("pre").is_visible()


def test_on_a_phone_only_tables_scroll_sideways(opened: Opened) -> None:
    page = opened.page
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator(".scroll").first.evaluate("region => region.scrollWidth > region.clientWidth")


def test_the_page_is_dark_where_the_reader_prefers_it_and_figures_stay_on_white(opened: Opened) -> None:
    page = opened.page
    backgrounds = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        backgrounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert (
            page.evaluate("getComputedStyle(document.querySelector('figure img')).backgroundColor")
            == "rgb(255, 255, 255)"
        )
    assert backgrounds[0] != backgrounds[1]


def test_without_scripts_everything_can_be_read(browser: Any, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator(f"{RUNS} tbody tr").count() == 24
    assert not page.get_by_role("button").count()
    page.locator(f"{RUNS} tr", has_text="failed").locator("summary").click()
    assert "too warm" in page.locator(RUNS).inner_text()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_of(opened: Opened, scheme: Literal["light", "dark"]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = opened.page
    page.emulate_media(color_scheme=scheme)

    def violations() -> list[Any]:
        found: list[Any] = axe.run(page).response["violations"]
        return [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]

    page.locator("summary").evaluate_all("each => each.forEach((summary) => { summary.parentNode.open = true; })")
    assert violations() == []
