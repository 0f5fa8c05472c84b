"""The direction of imports: normalizers, models and data know nothing of Lightning or Hydra."""

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
        (
            "normalizers",
            {"pytorch_lightning", "hydra", "omegaconf", "normlab.data", "normlab.training", "normlab.config"},
        ),
        ("models", {"pytorch_lightning", "hydra", "omegaconf", "normlab.data", "normlab.training", "normlab.config"}),
        ("data", {"pytorch_lightning", "hydra", "omegaconf", "normlab.training", "normlab.config", "normlab.models"}),
        ("training", {"normlab.population", "normlab.sweeps", "hydra_plugins"}),
        ("sweeps", {"normlab.training.run", "pytorch_lightning"}),
        ("report", {"torch", "pytorch_lightning", "normlab.training", "normlab.models", "normlab.data"}),
        (".", {"normlab.commands"}),
    ],
)
def test_imports_run_in_one_direction(place: str, never: set[str]) -> None:
    files = [
        file for file in (SOURCE / place).rglob("*.py") if "commands" not in file.parts and file.name != "__main__.py"
    ]
    assert files
    for file in files:
        found = {name for name in imported(file) for banned in never if name == banned or name.startswith(f"{banned}.")}
        assert not found, f"{file.relative_to(SOURCE)} imports {found}"
