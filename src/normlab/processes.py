"""Worker processes in which a job that takes its process down costs itself alone."""

import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import cloudpickle

from normlab.stopping import StopRequest

log = logging.getLogger(__name__)

SECONDS_TO_STOP = 8.0
"""How long workers that were asked to stop may take for the step under way and a checkpoint."""


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its value, or why there is none."""

    value: Any = None
    error: str | None = None


@dataclass
class Worker:
    """A process and this end of the pipe to it, with the number of the job it has."""

    process: BaseProcess
    pipe: Connection
    job: int


def run_in_processes(work: Callable[[int, Any], Any], jobs: Sequence[Any], workers: int) -> list[Outcome]:
    """Return the outcomes of `work(number, job)` for all jobs, in their order.

    At most `workers` processes run at once, and each does one job after another. One that dies is replaced.
    Ctrl-C and SIGTERM are passed on: the workers end their step, and those too slow for that are killed.

    Raises:
        SystemExit: with 128 + the signal's number, where a signal ended it.
    """
    payload = cloudpickle.dumps(work)
    waiting = deque(enumerate(jobs))
    outcomes: dict[int, Outcome] = {}
    busy: list[Worker] = []
    idle: list[Worker] = []
    with StopRequest().listening() as request, _ended_at_last(busy, idle):
        request.when_asked = lambda: _ask_to_stop(busy)
        while (waiting or busy) and request.signal is None:
            while waiting and len(busy) < workers:
                busy.append(_hand(waiting.popleft(), idle, payload))
            for pipe in wait([worker.pipe for worker in busy], timeout=0.5):
                worker = next(worker for worker in busy if worker.pipe is pipe)
                busy.remove(worker)
                outcomes[worker.job] = _outcome(worker)
                if worker.process.is_alive():
                    idle.append(worker)
        if request.signal is not None:
            for worker in busy:
                worker.process.join(SECONDS_TO_STOP)
            raise SystemExit(request.exit_status)
    return [outcomes[number] for number in range(len(jobs))]


def _start(payload: bytes) -> Worker:
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(there, payload), daemon=True)
    process.start()
    there.close()
    return Worker(process, here, -1)


def _hand(numbered_job: tuple[int, Any], idle: list[Worker], payload: bytes) -> Worker:
    """Give a job to an idle worker that still lives, or else to a new one; return it."""
    while True:
        worker = idle.pop() if idle else _start(payload)
        worker.job = numbered_job[0]
        try:
            worker.pipe.send(numbered_job)
        except OSError:  # it died meanwhile
            continue
        return worker


def _outcome(worker: Worker) -> Outcome:
    try:
        outcome: Outcome = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        code = worker.process.exitcode
        ended = f"by signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"with status {code}"
        return Outcome(error=f"its process {worker.process.pid} ended {ended}")
    return outcome


def _ask_to_stop(workers: Sequence[Worker]) -> None:
    for worker in workers:
        if worker.process.pid is not None and worker.process.is_alive():
            os.kill(worker.process.pid, signal.SIGTERM)


@contextmanager
def _ended_at_last(*groups: list[Worker]) -> Iterator[None]:
    """Leave no worker behind, whatever ends the context."""
    try:
        yield
    finally:
        for worker in (worker for group in groups for worker in group):
            worker.process.kill()
            worker.process.join()


def _work(pipe: Connection, payload: bytes) -> None:
    """Do jobs until there are no more; the body of a worker process."""
    os.setsid()  # Ctrl-C in the terminal goes to the driver alone, which passes it on once
    threading.Thread(target=_end_with_the_driver, daemon=True).start()
    work = cloudpickle.loads(payload)
    while True:
        try:
            number, job = pipe.recv()
        except EOFError:
            return
        try:
            outcome = Outcome(value=work(number, job))
        except Exception as error:
            outcome = Outcome(error=str(error) or type(error).__name__)
        pipe.send(outcome)


def _end_with_the_driver() -> None:
    """Ask this process to stop when the driver is gone, and end it where it does not."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(SECONDS_TO_STOP)
    os._exit(1)
