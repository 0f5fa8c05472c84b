"""The page of a report says everything in one file, and takes nothing that stands in runs for markup."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from normlab.report.analysis import analyse
from normlab.report.figures.drawing import Figure
from normlab.report.load import load
from normlab.report.page.rendering import write_page

from .made_runs import make_ablation, make_run

EVIL = "<script>alert(1)</script>"


class Reader(HTMLParser):
    """Collects what a browser would make of a page: elements, visible text, contents of scripts."""

    VOID = frozenset({"meta", "img", "input", "br", "link"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self.open[-1:] != ["style"]:
            self.text += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(root: Path, figures: tuple[Figure, ...] = ()) -> str:
    write_page(analyse(load(root)), figures, root, root)
    return (root / "index.html").read_text(encoding="utf-8")


def test_markup_in_names_logs_errors_and_configs_is_shown_as_text(tmp_path: Path) -> None:
    make_run(tmp_path / "e", "none", 0)
    report = {"claim": EVIL, "source": EVIL, "metric": "val/accuracy", "threshold": 0.1}
    make_run(tmp_path / "e", EVIL, 0, status="failed", error=f"ValueError: {EVIL}", report=report)
    make_run(tmp_path / "e", EVIL, 1, config={"model": {"note": EVIL}}, environment={"device": EVIL})
    (tmp_path / "e" / "figures").mkdir()
    (tmp_path / "e" / "figures" / "f.svg").write_text("<svg/>")
    figure = Figure("f", EVIL, EVIL, f'"{EVIL}')
    page = page_of(tmp_path / "e", (figure,))
    reader = Reader(page)
    assert EVIL not in page
    assert len(reader.scripts) == 1
    assert reader.attributes("img")[0]["alt"] == f'"{EVIL}'
    assert f"ValueError: {EVIL}" in reader.text


def test_an_error_may_hold_what_would_end_a_script(tmp_path: Path) -> None:
    make_run(tmp_path / "e", status="failed", error="</script><!-- <script>")
    assert "</script><!-- <script>" in Reader(page_of(tmp_path / "e")).text


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    make_ablation(tmp_path / "e", seeds=2)
    (tmp_path / "e" / "figures").mkdir()
    (tmp_path / "e" / "figures" / "f.svg").write_text("<svg/>")
    page = page_of(tmp_path / "e", figures=(Figure("f", "Title", "Caption.", "Words."),))
    reader = Reader(page)
    assert [image.get("src") for image in reader.attributes("img")] == ["data:image/svg+xml;base64,PHN2Zy8+"]
    assert not reader.attributes("link")
    assert not [script for script in reader.attributes("script") if "src" in script]
    assert not re.search(r"""(src|href|url\()["'=( ]*(https?:)?//""", page)


def test_every_table_of_values_names_precision_device_and_threads(tmp_path: Path) -> None:
    make_run(tmp_path / "e", precision="bf16-mixed")
    page = page_of(tmp_path / "e")
    assert page.count('<table class="sortable') == page.count("Precision: bf16-mixed; device: cpu; threads: 1.") == 3


def test_without_runs_the_page_says_so(tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    text = Reader(page_of(tmp_path / "e")).text
    assert "There are no runs." in text
    assert f"There are no runs below {tmp_path / 'e'}" in text


def test_of_one_run_there_is_neither_deviation_nor_interval_and_the_page_says_why(tmp_path: Path) -> None:
    make_run(tmp_path / "e", accuracy=0.9)
    text = Reader(page_of(tmp_path / "e")).text
    assert "0.9000" in text
    assert "0.9000 ±" not in text
    assert "only one run finished, so there is no deviation and no interval." in text
    assert "1: 1 finished" in text


def test_failed_runs_show_their_error_and_diverged_ones_their_update(tmp_path: Path) -> None:
    make_run(tmp_path / "e", "none", 0, status="failed", error="Traceback\nRuntimeError: too warm")
    make_run(tmp_path / "e", "none", 1, status="diverged", diverged_at=1312)
    page = page_of(tmp_path / "e")
    assert "Traceback\nRuntimeError: too warm" in Reader(page).text
    assert "1\u202f312" in Reader(page).text
    assert "No run has final metrics yet." in page


def test_a_run_links_to_its_record_config_curves_and_log(tmp_path: Path) -> None:
    run = make_run(tmp_path / "e", "a b?")
    page = page_of(tmp_path / "e")
    links = [link["href"] or "" for link in Reader(page).attributes("a") if "runs/" in (link["href"] or "")]
    names = ["run.json", "config.yaml", "metrics.csv", "run.log"]
    assert [(tmp_path / "e" / unquote(link)).resolve() for link in links] == [run / name for name in names]
    assert f"normlab-rerun {run}" in page


def test_the_setup_lists_runs_seeds_and_the_keys_that_differ_and_that_are_shared(tmp_path: Path) -> None:
    for seed in (0, 1, 2, 7):
        make_run(tmp_path / "e", "none", seed, environment={"device": "cpu", "torch": "2.6"})
    make_run(tmp_path / "e", "batch", 0, environment={"device": "GPU", "torch": "2.6"})
    text = Reader(page_of(tmp_path / "e")).text
    for words in ("4: 0–2, 7", "5: 5 finished", "made.none (4), made.batch (1)", "cpu (4), GPU (1)"):
        assert words in text
    differing, shared = text.split("keys that all runs share")
    assert "environment.device" in differing
    for key in ("optimizer.lr", "environment.torch"):
        assert key not in differing
        assert key in shared


def test_published_values_stand_beside_their_verdict(tmp_path: Path) -> None:
    make_ablation(tmp_path / "e", published={"batch": {"val/accuracy": 0.94}, "tf_nn": {"val/accuracy": 0.2}})
    text = Reader(page_of(tmp_path / "e")).text
    assert "0.9400, reproduced" in text
    assert "0.2000, differs" in text


@pytest.mark.parametrize("seeds", [1, 3])
def test_every_link_inside_the_page_leads_somewhere(tmp_path: Path, seeds: int) -> None:
    make_ablation(tmp_path / "e", seeds=seeds, report={"threshold": 0.9})
    reader = Reader(page_of(tmp_path / "e"))
    targets = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(targets) == len(set(targets))
    for link in reader.attributes("a"):
        address = link["href"]
        assert address is not None
        assert not address.startswith("#") or address[1:] in targets
