"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest

CACHE = Path("~/.cache/normlab")


def _holds_mnist(root: Path) -> bool:
    return any((root / "mnist" / f"train-images-idx3-ubyte{suffix}").is_file() for suffix in ("", ".gz"))


@pytest.fixture(scope="session")
def mnist_root() -> Path:
    """The folder above `mnist/` with the real files; tests that ask for it are skipped where there is none."""
    named = os.environ.get("NORMLAB_DATA")
    for root in (*([Path(named)] if named else []), CACHE):
        # Absolute, since a test may change the working directory.
        absolute = root.expanduser().absolute()
        if _holds_mnist(absolute):
            return absolute
    pytest.skip(f"real MNIST was found neither in NORMLAB_DATA ({named or 'not set'}) nor in the cache ({CACHE}/mnist)")
