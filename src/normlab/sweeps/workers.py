"""Worker processes in which a job that takes its process down costs itself alone."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import cloudpickle

from normlab.processes.children import SECONDS_TO_STOP, end_of, live_with_the_driver
from normlab.processes.stopping import StopRequest


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its value, or why there is none."""

    value: Any = None
    error: str | None = None


def outcome_of(work: Callable[[Any], Any], job: Any) -> Outcome:
    """Do a job, and return what became of it."""
    try:
        return Outcome(value=work(job))
    except Exception as error:
        return Outcome(error=str(error) or type(error).__name__)


@dataclass
class Worker:
    """A process and this end of the pipe to it, with the number of the job it has."""

    process: BaseProcess
    pipe: Connection
    place: int
    job: int = -1


def run_in_processes(
    work: Callable[[Any], Any], jobs: Iterable[Any], workers: int, environments: Sequence[Mapping[str, str]] = ()
) -> list[Outcome]:
    """Return the outcomes of `work(job)` for all jobs, in their order; a job is asked for when a worker is free.

    At most `workers` processes run at once, and each does one job after another. One that dies is replaced.
    Ctrl-C and SIGTERM are passed on: the workers end their step, and those too slow for that are killed.

    Args:
        work: what a worker calls.
        jobs: what it is called with.
        workers: how many processes.
        environments: further environment variables of the first worker, the second and so on, over again where
            there are more workers.

    Raises:
        SystemExit: with 128 + the signal's number, where a signal ended it.
    """
    payload = cloudpickle.dumps(work)
    waiting = enumerate(jobs)
    outcomes: dict[int, Outcome] = {}
    started: dict[int, Worker] = {}
    free = deque(range(workers))
    busy: list[Worker] = []
    with StopRequest().listening() as request, _ended_at_last(started):
        request.when_asked = lambda: _ask_to_stop(busy)
        while request.signal is None:
            for number, job in islice(waiting, len(free)):
                place = free.popleft()
                environment = environments[place % len(environments)] if environments else {}
                busy.append(_hand(number, job, place, started, payload, environment))
            if not busy:
                break
            for pipe in wait([worker.pipe for worker in busy], timeout=0.5):
                worker = next(worker for worker in busy if worker.pipe is pipe)
                busy.remove(worker)
                free.appendleft(worker.place)
                outcomes[worker.job] = _outcome(worker)
                if not worker.process.is_alive():
                    del started[worker.place]
        if request.signal is not None:
            for worker in busy:
                worker.process.join(SECONDS_TO_STOP)
            raise SystemExit(request.exit_status)
    return [outcomes[number] for number in sorted(outcomes)]


def _hand(
    number: int, job: Any, place: int, started: dict[int, Worker], payload: bytes, environment: Mapping[str, str]
) -> Worker:
    """Give a job to the worker in a place, where it still lives, or else to a new one; return it."""
    while True:
        if place not in started:
            started[place] = _start(place, payload, environment)
        worker = started[place]
        worker.job = number
        try:
            worker.pipe.send(job)
        except OSError:  # it died meanwhile
            del started[place]
            continue
        return worker


def _start(place: int, payload: bytes, environment: Mapping[str, str]) -> Worker:
    here, there = multiprocessing.get_context("spawn").Pipe()
    # No daemon, which could not start the further processes of a data-parallel run.
    arguments = (there, payload, environment)
    process = multiprocessing.get_context("spawn").Process(target=_work, args=arguments, daemon=False)
    process.start()
    there.close()
    return Worker(process, here, place)


def _outcome(worker: Worker) -> Outcome:
    try:
        outcome: Outcome = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        return Outcome(error=f"its process {end_of(worker.process)}")
    return outcome


def _ask_to_stop(workers: Sequence[Worker]) -> None:
    for worker in workers:
        if worker.process.pid is not None and worker.process.is_alive():
            os.kill(worker.process.pid, signal.SIGTERM)


@contextmanager
def _ended_at_last(started: Mapping[int, Worker]) -> Iterator[None]:
    """Leave no worker behind, whatever ends the context."""
    try:
        yield
    finally:
        for worker in started.values():
            worker.process.kill()
            worker.process.join()


def _work(pipe: Connection, payload: bytes, environment: Mapping[str, str]) -> None:
    """Do jobs until there are no more; the body of a worker process."""
    live_with_the_driver()
    os.environ.update(environment)
    work = cloudpickle.loads(payload)
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(outcome_of(work, job))
