"""The processes of a run other than the first, started on this machine if no launcher has started them."""

import logging
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from normlab.errors import ConfigurationError
from normlab.processes.children import exit_with_parent
from normlab.runs.run import Run
from normlab.training.data_parallel.group import Group

LOCALHOST = "127.0.0.1"


LONGEST_TEMPORARY_DIRECTORY = 74
"""Bytes of a path that leave room for the name of a socket, which may have 107 in all."""


def require_short_temporary_directory() -> None:
    """Raise ConfigurationError if the path of a socket in the directory for temporary files would be too long."""
    directory = tempfile.gettempdir()
    if len(os.fsencode(directory)) > LONGEST_TEMPORARY_DIRECTORY:
        raise ConfigurationError(
            f"TMPDIR={directory} is too long for the sockets that accelerator.processes needs: choose a path of at most"
            f" {LONGEST_TEMPORARY_DIRECTORY} bytes"
        )


@contextmanager
def start_followers(run: Run, train: Callable[[Run], object]) -> Iterator[Group]:
    """Start the other processes of a run; they are connected in this context and end with it.

    Each calls `train(run)` in the environment in which torchrun would start it. Raises ProcessLostError, which says
    which process was lost and why.
    """
    size = run.settings["accelerator"]["processes"]
    # One server per process imports torch and Lightning once, which takes seconds; its forks take milliseconds.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([train.__module__])
    store = TCPStore(LOCALHOST, 0, is_master=True, wait_for_workers=False)
    children = [
        context.Process(target=_follow, args=(run, train, rank, size, store.port), daemon=False)
        for rank in range(1, size)
    ]
    try:
        for child in children:
            child.start()
        group = Group(0, size, 0, PrefixStore(f"{run.id} 1", store), children)
        with group.connect():
            yield group
    finally:
        for child in children:  # their state is the parent's too
            if child.pid is not None:
                child.kill()
                child.join()


def _follow(run: Run, train: Callable[[Run], object], rank: int, size: int, port: int) -> None:
    exit_with_parent()
    logging.disable()  # process 0 logs the same
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": LOCALHOST, "MASTER_PORT": port}
    # As under torchrun, the store is served by the process that starts the others.
    os.environ.update({name: str(value) for name, value in place.items()}, TORCHELASTIC_USE_AGENT_STORE="True")
    try:
        train(run)
    except BaseException:  # process 0 knows of it, or is lost
        sys.exit(1)
