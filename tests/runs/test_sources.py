"""Digests of the code that is no released package."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from normlab.runs import sources
from normlab.runs.sources import digest_sources, list_changes


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of a user's own, and a module beside it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    place = tmp_path / "lab_of_mine"
    (place / "inner").mkdir(parents=True)
    (place / "__init__.py").write_text("")
    (place / "inner" / "__init__.py").write_text("from torch import nn\n")
    (place / "layer.py").write_text("from .inner import formula\nimport beside_of_mine\nfrom torch import nn\n")
    (place / "inner" / "formula.py").write_text("def f():\n    from ..late import x\n")
    (place / "late.py").write_text("x = 1\n")
    (place / "unrelated.py").write_text("")
    (tmp_path / "beside_of_mine.py").write_text("")
    yield place
    sys.path_importer_cache.clear()


def digest(target: str) -> dict[str, str]:
    sources._digest.cache_clear()
    found = digest_sources({"seed": 0, "normalizer": {"_target_": target, "inner": [{"_target_": "torch.nn.ReLU"}]}})
    return {name: value for name, value in found.items() if not name.startswith("normlab.")}


def test_they_cover_what_the_target_imports_from_outside_of_released_packages(package: Path) -> None:
    names = {"lab_of_mine", "lab_of_mine.layer", "lab_of_mine.inner", "lab_of_mine.inner.formula", "lab_of_mine.late"}
    assert digest("lab_of_mine.layer.Layer").keys() == {*names, "beside_of_mine"}
    assert digest("torch.nn.BatchNorm2d") == {}


def test_finding_them_imports_nothing(package: Path) -> None:
    digest("lab_of_mine.layer.Layer")
    assert "lab_of_mine" not in sys.modules


def test_a_change_is_named(package: Path) -> None:
    before = digest("lab_of_mine.layer.Layer")
    (package / "late.py").write_text("x = 2\n")
    (package / "unrelated.py").write_text("y = 2\n")
    assert list_changes(before, digest("lab_of_mine.layer.Layer")) == ["lab_of_mine.late"]


def test_those_of_a_checkout_hold_what_a_result_depends_on() -> None:
    names = digest_sources({}).keys()
    assert {"normlab.normalizers.batch_norm", "normlab.training.module", "normlab.randomness"} <= names
    assert not any(name.startswith(("normlab.report", "normlab.commands")) for name in names)
