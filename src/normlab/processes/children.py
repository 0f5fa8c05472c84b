"""Child processes: they start in milliseconds if possible, end with their parent, and it says how they ended."""

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from importlib import metadata
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess

NEEDED_BY_RUNS = "normlab.training.run"
"""Module that imports all that a run needs."""

LONGEST_TEMPORARY_DIRECTORY = 74
"""Bytes of a path that leave room for the name of a socket, which may have 107 in all."""

SECONDS_TO_STOP = 8.0
"""Time for a process that was asked to stop to end the step in progress and write a checkpoint."""


def get_context() -> BaseContext:
    """Return the context in which to start processes that train.

    On Linux they are forks of a server that has imported torch and Lightning, which takes seconds, once for all. With a
    build of torch for GPUs each imports them itself: CUDA does not survive a fork. So it does if the server's socket
    would have too long a path.
    """
    room = LONGEST_TEMPORARY_DIRECTORY - len(os.fsencode(tempfile.gettempdir()))
    if sys.platform != "linux" or not has_cpu_build() or room < 0:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([NEEDED_BY_RUNS])
    return context


def has_cpu_build() -> bool:
    """Return whether torch was built for CPUs alone, without importing it, which takes seconds."""
    return metadata.version("torch").endswith("+cpu")


def describe_end(process: BaseProcess) -> str:
    """Return how a process that was joined ended, such as "123 ended by signal SIGKILL"."""
    code = process.exitcode
    how = f"by signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"with status {code}"
    return f"{process.pid} ended {how}"


def exit_with_parent() -> None:
    """End this process, started by `multiprocessing`, when its parent ends; Ctrl-C reaches it through the parent."""
    os.setsid()  # a terminal sends Ctrl-C to its whole session
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    """Ask this process to stop once the parent is gone, and end it if it does not."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(SECONDS_TO_STOP)
    os._exit(1)
