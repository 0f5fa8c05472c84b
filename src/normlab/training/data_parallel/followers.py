"""The processes of a run other than the first, started on this machine if no launcher has started them."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from normlab.processes.children import exit_with_parent, get_context
from normlab.runs.run import Run
from normlab.training.data_parallel.group import Group

LOCALHOST = "127.0.0.1"


@contextmanager
def start_followers(run: Run, train: Callable[[Run], object]) -> Iterator[Group]:
    """Start the other processes of a run; they are connected in this context and end with it.

    Each calls `train(run)` in the environment in which torchrun would start it. Raises ProcessLostError, which says
    which process was lost and why.
    """
    size = run.settings["accelerator"]["processes"]
    context = get_context()
    store = TCPStore(LOCALHOST, 0, is_master=True, wait_for_workers=False)
    children = [
        context.Process(  # type: ignore[attr-defined]
            target=_follow, args=(run, train, rank, size, store.port), daemon=False
        )
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
