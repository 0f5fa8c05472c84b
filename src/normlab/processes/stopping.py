"""Being asked to stop from outside, by Ctrl-C or SIGTERM, and doing so in good order."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether Ctrl-C or SIGTERM asked this process to stop, and by which signal.

    The first asks: the step under way ends and a checkpoint is written. A second Ctrl-C ends the process at once.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.when_asked: Callable[[], None] = lambda: None

    @property
    def exit_status(self) -> int:
        """128 + the signal's number, as shells count: 130 for Ctrl-C, 143 for SIGTERM."""
        assert self.signal is not None
        return 128 + self.signal

    @contextmanager
    def listening(self) -> Iterator["StopRequest"]:
        """Take the two signals for a while; the handlers from before come back."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        try:
            self.listen()
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen(self) -> None:
        """Take the two signals, from whoever has them."""
        for number in SIGNALS:
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.signal = number
        self.when_asked()
