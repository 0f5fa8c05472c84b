"""The direction of imports between the folders of the package, followed through all that they import."""

import ast
from functools import cache
from pathlib import Path

import pytest

import normlab

SOURCE = Path(normlab.__file__).parent

FLOORS = (
    {"files"},
    {"content", "contracts", "errors", "randomness", "processes"},
    {"runs", "data", "normalizers", "models"},
    {"config", "measurements", "report"},
    {"training"},
    {"sweeps"},
    {"population", "commands", "__init__"},
    {"__main__"},
)
"""From the ground up: a folder imports only from floors below its own, or from itself."""

NEVER = {
    "normalizers": {"pytorch_lightning", "hydra", "omegaconf"},
    "models": {"pytorch_lightning", "hydra", "omegaconf"},
    "data": {"pytorch_lightning", "hydra", "omegaconf"},
    "measurements": {"pytorch_lightning", "hydra", "omegaconf"},
    "report": {"torch", "pytorch_lightning"},
    "runs": {"torch", "pytorch_lightning"},
    "config": {"torch", "pytorch_lightning"},
}
"""Packages that nothing in a folder imports, also not through other folders or inside a function."""


@cache
def imports(module: str) -> frozenset[str]:
    """Return the modules and packages that a module of normlab imports, inside functions too."""
    path = SOURCE.parent / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {name for alias in node.names if exists(name := f"{node.module}.{alias.name}")}
    packages = {parent for name in names for parent in parents(name) if parent != "normlab"}
    return frozenset(names | packages)


def exists(module: str) -> bool:
    path = SOURCE.parent / module.replace(".", "/")
    return module.startswith("normlab.") and (path.with_suffix(".py").is_file() or (path / "__init__.py").is_file())


def parents(module: str) -> list[str]:
    """Return the packages whose `__init__.py` runs when a module of normlab is imported."""
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))] if parts[0] == "normlab" else []


def closure(module: str) -> set[str]:
    """Return all that importing a module, and calling what is in it, may import."""
    seen: set[str] = set()
    left = [module]
    while left:
        for name in imports(left.pop()) - seen:
            seen.add(name)
            if exists(name):
                left.append(name)
    return seen


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def modules() -> list[str]:
    names = (file.relative_to(SOURCE.parent).with_suffix("") for file in sorted(SOURCE.rglob("*.py")))
    return [".".join(name.parts).removesuffix(".__init__") for name in names]


def test_every_folder_has_its_floor() -> None:
    assert {room_of(module) for module in modules()} == set().union(*FLOORS)


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_from_floors_below(module: str) -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    own = room_of(module)
    for name in imports(module):
        if exists(name) and room_of(name) != own:
            assert floor[room_of(name)] < floor[own], f"{module} imports {name}"


@pytest.mark.parametrize("room", NEVER)
def test_a_folder_never_imports_some_packages_however_indirectly(room: str) -> None:
    for module in (module for module in modules() if room_of(module) == room):
        found = {name for name in closure(module) if name.split(".")[0] in NEVER[room]}
        assert not found, f"{module} imports {found}"


def test_nothing_in_the_package_imports_the_folder_for_many_seeds() -> None:
    importing = {module for module in modules() for name in imports(module) if room_of(name) == "population"}
    assert {room_of(module) for module in importing} == {"population"}
