"""The code of a run that is no released package: digests of its source files, by module."""

import ast
import hashlib
import site
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
PARTS = ("contracts", "data", "measurements", "models", "normalizers", "population", "randomness", "training")
"""Modules and folders of normlab that a result depends on."""


def digest_sources(settings: Mapping[str, Any]) -> Mapping[str, str]:
    """Return module → digest for every `_target_` outside of installed packages, with all that it imports from there.

    The parts of normlab that a result depends on are among them if normlab is not installed but a checkout.
    """
    return _digest(frozenset(_find_targets(settings)))


def list_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """List the modules whose digests differ, or that are on one side alone."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _find_targets(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get("_target_"), str):
            yield node["_target_"]
        for value in node.values():
            yield from _find_targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _find_targets(value)


@cache  # of the code as it was when this process loaded it
def _digest(targets: frozenset[str]) -> Mapping[str, str]:
    files = _find_own_files()
    waiting = list(targets)
    seen: set[str] = set()
    while waiting:
        for name, file in _find_modules(waiting.pop()):
            if name not in seen:
                seen.add(name)
                files[name] = file
                waiting += _list_imports(name, file)
    return {name: hashlib.sha256(files[name].read_bytes()).hexdigest()[:16] for name in sorted(files)}


def _find_own_files() -> dict[str, Path]:
    if _is_released(PACKAGE):
        return {}
    found = [file for part in PARTS for file in (*PACKAGE.glob(f"{part}.py"), *(PACKAGE / part).rglob("*.py"))]
    return {".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts): file for file in found}


def _find_modules(name: str) -> Iterator[tuple[str, Path]]:
    """Yield the modules that importing a dotted name executes, without importing them; none of released packages."""
    first, *rest = name.split(".")
    if first == "normlab":
        return
    try:
        spec: ModuleSpec | None = find_spec(first)
    except (ImportError, ValueError):
        return
    while spec is not None:
        if spec.origin is not None and spec.origin.endswith(".py") and not _is_released(Path(spec.origin)):
            yield spec.name, Path(spec.origin)
        places = spec.submodule_search_locations
        spec = PathFinder.find_spec(f"{spec.name}.{rest.pop(0)}", places) if rest and places is not None else None


def _list_imports(name: str, file: Path) -> list[str]:
    """List the dotted names that a module imports, also inside functions."""
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    names: list[str] = []
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError:  # the error of importing it says more
        return []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names += [f"{base}.{alias.name}" for alias in node.names]
    return names


@cache
def _find_release_places() -> tuple[Path, ...]:
    paths = [sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    return tuple(Path(place).resolve() for place in {*site.getsitepackages(), site.getusersitepackages(), *paths})


def _is_released(path: Path) -> bool:
    """Whether a file lies in the standard library or among installed packages."""
    return any(path.resolve().is_relative_to(place) for place in _find_release_places())
