"""One side of a comparison in a process of its own, which builds what it is told and times itself whenever asked."""

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
        notes: file for what it writes besides, of which TensorFlow and Lightning write much that tells nothing.

    Raises:
        RuntimeError: with these notes, when it is asked and ends without an answer.
    """

    def __init__(self, program: Path, notes: Path) -> None:
        self._notes = notes
        with notes.open("w") as written:
            self._process = subprocess.Popen(
                [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=written, text=True
            )

    def prepare(self, task: Task) -> int:
        """Let it build what the task needs, in place of what it built before; return how many parameters it trains."""
        return int(self._answer_to(json.dumps(task)))

    def __call__(self) -> float:
        """Return the updates per second of one timing."""
        return float(self._answer_to(""))

    def end(self) -> None:
        self._process.communicate()

    def _answer_to(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(line, file=self._process.stdin, flush=True)
        found = self._process.stdout.readline()
        if not found:
            status = self._process.wait()
            raise RuntimeError(f"{self._process.args!r} ended with status {status}:\n{self._notes.read_text()}")
        return found


def answer(prepare: Callable[[Task], tuple[int, Callable[[], float]]]) -> None:
    """Answer each line that comes in: to a task what it has built, and to an empty line one timing of that.

    Args:
        prepare: from a task to how many parameters its network trains, and what returns its updates per second.
    """
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print must not stand among the answers
    found: float
    for line in sys.stdin:
        if line.strip():
            found, timing = prepare(Task(*json.loads(line)))
        else:
            found = timing()
        print(found, file=answers, flush=True)
