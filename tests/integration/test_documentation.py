"""README.md and the pages of docs: their commands run, shortened, in order, and their links lead somewhere."""

import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import run_command

REPOSITORY = Path(__file__).parents[2]
PAGES = ["README.md", *(str(page.relative_to(REPOSITORY)) for page in sorted((REPOSITORY / "docs").glob("*.md")))]

BLOCK_OR_INLINE = re.compile(r"^```\w*\n(.*?)^```$|^ {4}((?:[^\n]*\\\n)*[^\n]*)$|`([^`]+)`", re.M | re.S)
"""A fenced block, an indented line with those that continue it, or code within a sentence."""
COMMAND = re.compile(
    r"(\w+=\S+ )*(normlab(-\w+)?|make|git|python3?|pip|pipx|uv|conda|apt|brew|docker|source|cd|export|srun|sbatch|ray"
    r"|torchrun|tensorboard|pytest|\.venv/\S+)( |$)"
)
TEMPLATE = re.compile(r"NAME|KEY|VALUE|DIR\b|…|\bgroup[.=]")
"""What marks code within a sentence as the form of a command rather than a command."""
FILE = re.compile(r"`([\w/]+\.\w+)`[^\n`]*:\n\n```\w*\n(.*?)^```$", re.M | re.S)
"""A file that a page shows, after its name."""

RUN = r"normlab(?!-)(?!.*--help)"
SWEEP = rf"{RUN}(?=.*( -m |experiment=))(?!.*hydra\.mode=RUN)"

NOT_RUN = {
    r"git clone ": "needs the repository's address",
    r"apt install ": "needs root",
    r"source \.venv/bin/activate$": "chooses the environment that runs this test",
    r"pip install \.$": "`make test` does, with all extras",
    r"pip install \./docs/extending$": "test_extending.py does; here the page's own files are in the working directory",
    r"normlab .*WandbLogger": "needs Weights & Biases",
    r"normlab-reproduce$": "test_reproduce.py does, for all experiments",
}

SHORTER = {
    rf"{RUN}|normlab-reproduce": ("steps=2", "batch_size=16", "evaluate.one_by_one=0"),
    rf"({RUN}|normlab-reproduce)(?!.*( data=|=demo|=reading))": ("data=digits",),
    rf"{SWEEP}(?!.*seed=)|{SWEEP}.*resnet18|normlab-reproduce mlp": ("seed=0",),
    rf"{SWEEP}(?!.*(launcher=|accelerator=ddp))": ("hydra/launcher=basic",),
    rf"{SWEEP}(?!.*hydra/sweeper=)": ("hydra.sweeper.report=false",),
    rf"{SWEEP}.*=preprocessing|normlab-reproduce mlp": ("normalizer=none",),
    rf"{SWEEP}.*experiment=(demo|deep_cnn)": ("model.depth=2",),
    rf"{SWEEP}.*until=decided": ("hydra.sweeper.max_seeds=6",),
    rf"{SWEEP}.*launcher=population": ("seed=0,1", "hydra.launcher.workers=1"),
    rf"{SWEEP}.*sweeper=optuna": ("seed=0", "hydra.sweeper.n_trials=2"),
    rf"{SWEEP}.*accelerator=ddp": ("normalizer=none", "accelerator.processes=2"),
    r"tensorboard ": ("--inspect",),
}
"""What is appended to a command, in place of what it says of the same key."""

BEFORE = {
    "docs/report.md": ("normlab experiment=deep_cnn", "normlab experiment=mlp", "normlab experiment=convnet"),
    "docs/sweeps.md": ("normlab experiment=deep_cnn",),
}
"""Commands of other pages whose runs a page goes on with."""

TORCHVISION = """
import sys
from pathlib import Path

from network_libraries import import_network_library

sys.path.remove(str(Path(__file__).parent))
del sys.modules["torchvision"]
import_network_library("torchvision.models")
"""
"""A module that puts torchvision in its own place, beside a build of torch that it need not fit."""


def text_of(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def commands_of(text: str) -> list[str]:
    """Return the commands of a page, in order, each once."""
    found = []
    for block, indented, inline in BLOCK_OR_INLINE.findall(text):
        lines = re.sub(r"\s*\\\n\s*", " ", block or indented).splitlines() or [" ".join(inline.split())]
        for line in lines:
            command = re.sub(r"\s+#.*", "", line).strip()
            if COMMAND.match(command) and not (inline and (" " not in command or TEMPLATE.search(command))):
                found.append(command)
    return list(dict.fromkeys(found))


def shorten(command: str) -> list[str]:
    """Return the words of a command with those of the table."""
    words = shlex.split(command)
    for pattern, additions in SHORTER.items():
        if re.match(pattern, command):
            keys = {addition.partition("=")[0] for addition in additions}
            words = [word for word in words if word.partition("=")[0] not in keys] + [*additions]
    return words


def run_normlab(command: str, place: Path) -> None:
    """Run one of normlab's commands in a directory."""
    for run in place.glob("outputs/*/runs/*"):
        command = command.replace(f"{run.parent.relative_to(place)}/RUN_ID", str(run.relative_to(place)))
    program, *arguments = shorten(command)
    name = program.removeprefix("normlab").removeprefix("-") or "run"
    path = {"PYTHONPATH": str(place / "libraries")} if "torchvision" in command else {}
    ended = run_command(name, place, *arguments, **path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


def check_target(command: str, place: Path) -> None:
    """Ask make what it would do."""
    subprocess.run([*shlex.split(command), "--dry-run"], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)


def check_extras(command: str, place: Path) -> None:
    """Look for the extras of `pip install 'normlab[…]'`."""
    (extras,) = re.findall(r"normlab\[([\w,]+)\]", command)
    assert set(extras.split(",")) <= {*importlib.metadata.metadata("normlab").get_all("Provides-Extra", [])}


def check_file(command: str, place: Path) -> None:
    """Look for a benchmark, which takes minutes, or for a file of tests, which others run."""
    assert (REPOSITORY / shlex.split(command)[1]).is_file()


def check_marker(command: str, place: Path) -> None:
    """Look for tests with a marker, because to collect them takes half a minute."""
    mark = f"pytest.mark.{shlex.split(command)[-1]}"
    assert any(mark in file.read_text() for file in (REPOSITORY / "tests").rglob("test_*.py"))


def check_log_directory(command: str, place: Path) -> None:
    """Have TensorBoard read its log directory, without a server."""
    assert "scalars" in run_python("-m", "tensorboard.main", *shorten(command)[1:], place=place)


def run_python(*arguments: str, place: Path) -> str:
    """Run Python, and return what it printed."""
    ended = subprocess.run([sys.executable, *arguments], cwd=place, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


CHECKS: dict[str, Callable[[str, Path], None]] = {
    r"normlab(-\w+)?( |$)": run_normlab,
    r"make \w+$": check_target,
    r"pip install 'normlab\[": check_extras,
    r"(\.venv/peers/bin/)?python benchmarks/\w+\.py( |$)|pytest tests/\S+\.py$": check_file,
    r"(\.venv/bin/)?pytest -m \w+$": check_marker,
    r"tensorboard --logdir ": check_log_directory,
}


def fill(place: Path, text: str) -> None:
    """Write what a page takes for granted: the files that it shows, data of one's own, torchvision."""
    for name, content in FILE.findall(text):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(content)
        for folder in [*Path(name).parents][:-1]:
            (place / folder / "__init__.py").touch()
    (place / "libraries").mkdir()
    (place / "libraries" / "torchvision.py").write_text(TORCHVISION)
    (place / "novel.txt").write_text("It was a dark and stormy night. " * 100)
    images = np.random.default_rng(0).integers(0, 256, (80, 28, 28), dtype=np.uint8)
    labels = np.arange(80) % 2
    np.savez(place / "own.npz", train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    for number, image in enumerate(images):
        file = place / "photos" / ("cat", "dog")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    shutil.make_archive(str(place / "photos"), "zip", place / "photos")


LONG = ("README.md", "docs/experiments.md", "docs/extending.md", "docs/report.md", "docs/sweeps.md")
"""Pages whose commands take more than ten seconds."""


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.long) if page in LONG else page for page in PAGES]
)
def test_every_command_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NORMLAB_CACHE", str(tmp_path / "cache"))
    text = text_of(page)
    fill(tmp_path, text)
    for command in (*BEFORE.get(page, ()), *commands_of(text)):
        if any(re.match(pattern, command) for pattern in NOT_RUN):
            continue
        assert not re.search(r"[][(){}*?<>|&;~^]", re.sub(r"'[^']*'", "", command)), "zsh or bash reads this as its own"
        bare = re.sub(r"^(\w+=\S+ )+", "", command)  # the working directory is on the path as with PYTHONPATH=.
        checks = [check for pattern, check in CHECKS.items() if re.match(pattern, bare)]
        assert checks, f"add {command!r} to NOT_RUN or CHECKS"
        checks[0](bare, tmp_path)
    for program in re.findall(r"^```python\n(.*?)^```$", FILE.sub("", text), re.M | re.S):
        run_python("-c", program.replace('"seed=3"', '"seed=3", "steps=2", "batch_size=16"'), place=tmp_path)


def test_no_table_has_a_row_that_no_page_needs() -> None:
    commands = [command for page in PAGES for command in commands_of(text_of(page))]
    for pattern in (*NOT_RUN, *SHORTER, *CHECKS):
        assert any(re.match(pattern, command) for command in commands), pattern


def anchors_of(text: str) -> set[str]:
    """Return the anchors that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_within_the_repository_leads_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text_of(page)):
        path = Path(os.path.normpath(Path(page).parent / target)) if target else Path(page)
        assert (REPOSITORY / path).exists(), f"{page} links to {target}"
        assert not anchor or anchor in anchors_of(text_of(str(path))), f"{page} links to {target}#{anchor}"


def test_the_readme_is_read_in_minutes() -> None:
    assert len(text_of("README.md").encode()) <= 8192
