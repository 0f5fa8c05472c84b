"""Processes that belong to another one: how they hear of its end, and how theirs is told."""

import multiprocessing
import os
import signal
import threading
from multiprocessing.process import BaseProcess

SECONDS_TO_STOP = 8.0
"""How long workers that were asked to stop may take for the step under way and a checkpoint."""


def end_of(process: BaseProcess) -> str:
    """Tell how a process that has been joined ended, such as "123 ended by signal SIGKILL"."""
    code = process.exitcode
    how = f"by signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"with status {code}"
    return f"{process.pid} ended {how}"


def live_with_the_driver() -> None:
    """Let this process, started by `multiprocessing`, end when the driver does, and hear of Ctrl-C from it alone."""
    os.setsid()  # Ctrl-C in the terminal goes to the driver, which passes it on once
    threading.Thread(target=_end_with_the_driver, daemon=True).start()


def _end_with_the_driver() -> None:
    """Ask this process to stop when the driver is gone, and end it where it does not."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(SECONDS_TO_STOP)
    os._exit(1)
