"""Checks that an object keeps a contract, and names of classes for messages: works with any Protocol."""

import inspect


def require_contract(thing: object, contract: type, meaning: str) -> None:
    """Raise ValueError, naming class and file, if an object lacks a member of a Protocol."""
    members = [name for name in vars(contract) if not name.startswith("_") and not hasattr(thing, name)]
    if members:
        needed = ", ".join(members)
        raise ValueError(f"{meaning}: {locate(thing)} lacks {needed} (see {contract.__module__}.{contract.__name__})")


def locate(thing: object) -> str:
    """Return the name of an object's class, or of a function itself, with its file if it has one."""
    named = thing if inspect.isroutine(thing) else type(thing)
    try:
        return f"{named.__qualname__} ({inspect.getsourcefile(named)})"
    except TypeError:  # written in C
        return named.__qualname__
