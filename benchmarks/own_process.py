"""One side of a comparison in a process of its own, which builds everything once and times itself whenever asked."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Task(NamedTuple):
    """What one side is to time: so many updates of batches of 64 with one of the shipped experiments' networks."""

    side: str
    network: str
    normalizer: str
    threads: int
    updates: int
    data: str
    """File of arrays `images`, uint8 (N, 28, 28), and `labels` (N,), the training split."""


class OwnProcess:
    """A process whose program calls `answer`.

    Args:
        program: the script.
        task: what it is to time.
        notes: file for what it writes besides, of which TensorFlow and Lightning write much that tells nothing.

    Raises:
        RuntimeError: with these notes, where it ends without an answer; also when called.
    """

    def __init__(self, program: Path, task: Task, notes: Path) -> None:
        self._notes = notes
        command = [sys.executable, str(program), json.dumps(task)]
        with notes.open("w") as written:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=written, text=True
            )
        self.parameters = int(self._line())
        """Trained parameters of its network."""

    def __call__(self) -> float:
        """Return the updates per second of one timing."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._line())

    def end(self) -> None:
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            raise RuntimeError(f"{self._process.args!r} ended with status {status}:\n{self._notes.read_text()}")
        return line


def asked_task() -> Task:
    """Return the task that this process was started for."""
    return Task(*json.loads(sys.argv[1]))


def answer(parameters: int, timing: Callable[[], float]) -> None:
    """Tell how many parameters the network trains, then the updates per second of one timing per line that comes in."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print must not stand among the answers
    print(parameters, file=answers, flush=True)
    for _ in sys.stdin:
        print(timing(), file=answers, flush=True)
