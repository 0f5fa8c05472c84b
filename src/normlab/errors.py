"""The error of a user: a mistake in a config, in data or in what a command is given."""

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import CompactHydraException


class ConfigurationError(CompactHydraException):
    """A user error: its message says what to do, is printed without a traceback, and the exit status is 1."""


@contextmanager
def require_extra(name: str) -> Iterator[None]:
    """Import packages of an extra in this context; if one is missing, raise ConfigurationError with how to get it."""
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(f"{error}: pip install 'normlab[{name}]'") from error
