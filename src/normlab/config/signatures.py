"""What a class or function is called with, read from its source where importing it would take seconds."""

import ast
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec, resolve_name
from inspect import Parameter, signature
from pathlib import Path

from hydra.utils import get_object

READ_FROM_SOURCE = ("normlab", "torch")
"""Packages that are sure to import, but take seconds for it; of any other, only importing tells whether it does."""

Parameters = Mapping[str, Parameter]
Definition = ast.ClassDef | ast.FunctionDef


def parameters_of(target: str) -> Parameters:
    """Return the parameters of a class or function by its dotted name; none where it is written in C.

    Those of normlab and torch are read from source where that tells them, with annotations as text. Else the target is
    imported. Raises whatever importing raises.
    """
    known = parameters_in_source(target) if target.split(".")[0] in READ_FROM_SOURCE else None
    if known is not None:
        return known
    imported = get_object(target)
    try:
        return signature(imported).parameters
    except (TypeError, ValueError):  # a target written in C has no signature to read
        return {}


@lru_cache
def parameters_in_source(target: str) -> Parameters | None:
    """Return the parameters as source tells them, without importing it; None where reading is not enough.

    Enough it is for what is not decorated and has literal defaults: a function, or the `__init__` of a class or of its
    only base.
    """
    found = _definition(*_split(target))
    if found is None:
        return None
    module, definition = found
    if isinstance(definition, ast.FunctionDef):
        return _parameters(definition)
    methods = {node.name: node for node in definition.body if isinstance(node, ast.FunctionDef)}
    if definition.decorator_list or definition.keywords or "__new__" in methods:
        return None
    if "__init__" in methods:
        return _parameters(methods["__init__"])
    match definition.bases:
        case []:
            return {}
        case [ast.Name(id=base)]:
            return parameters_in_source(f"{module}.{base}")
    return None


def _definition(module: str, name: str) -> tuple[str, Definition] | None:
    """Return the definition of a name, and its module, followed through imports from module to module."""
    followed = set()
    while module and (module, name) not in followed and (file := _file(module)) is not None:
        followed.add((module, name))
        node = _binding(file, name)
        if isinstance(node, Definition):
            return module, node
        if node is None:
            return None
        package = module if file.name == "__init__.py" else _split(module)[0]
        module = resolve_name("." * node.level + (node.module or ""), package)
        name = next((alias.name for alias in node.names if alias.asname == name), name)
    return None


def _binding(file: Path, name: str) -> Definition | ast.ImportFrom | None:
    """Return the last statement of a module that defines or imports a name, or else imports all names of another."""
    statements = [node for node in reversed(_statements(file)) if isinstance(node, Definition | ast.ImportFrom)]
    for node in statements:
        if name in ([node.name] if isinstance(node, Definition) else [each.asname or each.name for each in node.names]):
            return node
    return next((node for node in statements if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"), None)


@lru_cache
def _statements(file: Path) -> list[ast.stmt]:
    return ast.parse(file.read_bytes()).body


def _file(module: str) -> Path | None:
    """Return the source file of a module, found without importing the packages around it."""
    package, *inner = module.split(".")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations or not all(map(str.isidentifier, inner)):
        return None
    place = Path(spec.submodule_search_locations[0], *inner)
    return next((file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()), None)


def _parameters(function: ast.FunctionDef) -> Parameters | None:
    """Return the parameters of a function or method; None where it is decorated or a default is more than a literal."""
    if function.decorator_list:
        return None
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    defaults = [*[None] * required, *arguments.defaults, *arguments.kw_defaults]
    found = {}
    for argument, default in zip([*positional, *arguments.kwonlyargs], defaults, strict=True):
        try:
            value = Parameter.empty if default is None else ast.literal_eval(default)
        except ValueError:
            return None
        annotation = Parameter.empty if argument.annotation is None else ast.unparse(argument.annotation)
        if argument.arg != "self":
            found[argument.arg] = Parameter(
                argument.arg, Parameter.POSITIONAL_OR_KEYWORD, default=value, annotation=annotation
            )
    return found


def _split(dotted: str) -> tuple[str, str]:
    parent, _, name = dotted.rpartition(".")
    return parent, name
