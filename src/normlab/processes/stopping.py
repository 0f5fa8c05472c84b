"""Stop on Ctrl-C or SIGTERM, but only after the step in progress."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether Ctrl-C or SIGTERM asked this process to stop, and which of them.

    The first signal asks: the step in progress ends and a checkpoint is written. A second one ends the process at once.
    In a thread other than the main one, which alone may handle signals, none is handled.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.on_request: Callable[[], None] = lambda: None

    @property
    def exit_status(self) -> int:
        """128 + the signal's number, as shells count: 130 for Ctrl-C, 143 for SIGTERM."""
        assert self.signal is not None
        return 128 + self.signal

    @contextmanager
    def listen(self) -> Iterator["StopRequest"]:
        """Handle the two signals in this context; the previous handlers are restored."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        try:
            self.install()
            yield self
        finally:
            if _is_main_thread():
                for number, handler in before.items():
                    signal.signal(number, handler)

    def install(self) -> None:
        """Handle the two signals from now on, whoever handled them before."""
        if _is_main_thread():
            for number in SIGNALS:
                signal.signal(number, self._request)

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.signal = number
        self.on_request()


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
