"""The direction of imports: normalizers, models and data know nothing of Lightning or Hydra; nothing imports app."""

import ast
from pathlib import Path

import pytest

import normlab

SOURCE = Path(normlab.__file__).parent


def imported(file: Path) -> set[str]:
    """Return the modules that a file imports, those inside its functions included."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize(
    ("place", "never"),
    [
        ("normalizers", {"pytorch_lightning", "hydra", "omegaconf", "normlab.data", "normlab.run", "normlab.config"}),
        ("models", {"pytorch_lightning", "hydra", "omegaconf", "normlab.data", "normlab.run", "normlab.config"}),
        ("data", {"pytorch_lightning", "hydra", "omegaconf", "normlab.run", "normlab.config", "normlab.models"}),
        ("training", {"normlab.launching", "normlab.run", "normlab.sweep", "hydra_plugins"}),
        ("launching", {"normlab.run", "normlab.training", "normlab.assembly", "pytorch_lightning"}),
        ("report", {"torch", "pytorch_lightning", "normlab.run", "normlab.training", "normlab.models", "normlab.data"}),
        (".", {"normlab.app"}),
    ],
)
def test_imports_run_in_one_direction(place: str, never: set[str]) -> None:
    files = [file for file in (SOURCE / place).rglob("*.py") if file.name not in ("app.py", "__main__.py")]
    assert files
    for file in files:
        found = {name for name in imported(file) for banned in never if name == banned or name.startswith(f"{banned}.")}
        assert not found, f"{file.relative_to(SOURCE)} imports {found}"
