"""Child processes: they end with their parent, and the parent says how they ended."""

import multiprocessing
import os
import signal
import threading
from multiprocessing.process import BaseProcess

SECONDS_TO_STOP = 8.0
"""Time for a process that was asked to stop to end the step in progress and write a checkpoint."""


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
