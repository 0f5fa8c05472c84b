"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest
import torch

from normlab.data import DataError, mnist

torch.set_num_threads(1)  # as the command does; threads of several test processes on few cores wait for one another


@pytest.fixture(scope="session")
def mnist_root() -> Path:
    """The folder above `mnist/` with the real files, downloaded where they are not there and can be had."""
    root = Path(os.environ.get("NORMLAB_DATA", "~/.cache/normlab")).expanduser().absolute()
    try:
        mnist(root)
    except DataError as error:
        pytest.skip(f"neither data nor network: {str(error).splitlines()[0]}")
    return root
