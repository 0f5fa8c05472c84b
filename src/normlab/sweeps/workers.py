"""Worker processes: a job that kills its process costs no other job."""

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

from normlab.processes.children import SECONDS_TO_STOP, describe_end, exit_with_parent, get_context
from normlab.processes.output import prepare_output
from normlab.processes.stopping import StopRequest


@dataclass(frozen=True)
class Outcome:
    """The value of a job, or why there is none."""

    value: Any = None
    error: str | None = None


def attempt(work: Callable[[Any], Any], job: Any) -> Outcome:
    """Do a job, and return its outcome."""
    try:
        return Outcome(value=work(job))
    except Exception as error:
        return Outcome(error=str(error) or type(error).__name__)


@dataclass
class Worker:
    """A process, this end of the pipe to it, and the number of its job."""

    process: BaseProcess
    pipe: Connection
    place: int
    job: int = -1


def run_in_processes(
    work: Callable[[Any], Any], jobs: Iterable[Any], workers: int, environments: Sequence[Mapping[str, str]] = ()
) -> list[Outcome]:
    """Return the outcomes of `work(job)` for all jobs, in their order.

    At most `workers` processes run at once. Each does one job after another, and one that dies is replaced. Ctrl-C and
    SIGTERM are passed on: the workers end their step, and those too slow for that are killed.

    Args:
        work: what to do with a job, in a worker.
        jobs: taken one at a time, when a worker is free.
        workers: number of processes.
        environments: further environment variables of the first worker, the second and so on, repeated if there are
            more workers.

    Raises:
        SystemExit: with 128 + the signal's number, after a signal.
    """
    payload = cloudpickle.dumps(work)
    waiting = enumerate(jobs)
    outcomes: dict[int, Outcome] = {}
    started: dict[int, Worker] = {}
    free = deque(range(workers))
    busy: list[Worker] = []
    with StopRequest().listen() as stop, _kill_at_exit(started):
        stop.on_request = lambda: _terminate(busy)
        while stop.signal is None:
            for number, job in islice(waiting, len(free)):
                place = free.popleft()
                environment = environments[place % len(environments)] if environments else {}
                busy.append(_assign(number, job, place, started, payload, environment))
            if not busy:
                break
            for pipe in wait([worker.pipe for worker in busy], timeout=0.5):
                worker = next(worker for worker in busy if worker.pipe is pipe)
                busy.remove(worker)
                free.appendleft(worker.place)
                outcomes[worker.job] = _receive(worker)
                if not worker.process.is_alive():
                    del started[worker.place]
        if stop.signal is not None:
            for worker in busy:
                worker.process.join(SECONDS_TO_STOP)
            raise SystemExit(stop.exit_status)
    return [outcomes[number] for number in sorted(outcomes)]


def _assign(
    number: int, job: Any, place: int, started: dict[int, Worker], payload: bytes, environment: Mapping[str, str]
) -> Worker:
    """Give a job to the worker in a place, or to a new one if that has died; return it."""
    while True:
        if place not in started:
            started[place] = _start(place, payload, environment)
        worker = started[place]
        worker.job = number
        try:
            worker.pipe.send(job)
        except OSError:  # it has died
            del started[place]
            continue
        return worker


def _start(place: int, payload: bytes, environment: Mapping[str, str]) -> Worker:
    context = get_context()
    here, there = context.Pipe()
    # Not a daemon, which could not start the further processes of a data-parallel run.
    arguments = (there, payload, {**os.environ, **environment})
    process = context.Process(target=_serve, args=arguments, daemon=False)  # type: ignore[attr-defined]
    process.start()
    there.close()
    return Worker(process, here, place)


def _receive(worker: Worker) -> Outcome:
    try:
        outcome: Outcome = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        return Outcome(error=f"its process {describe_end(worker.process)}")
    return outcome


def _terminate(workers: Sequence[Worker]) -> None:
    for worker in workers:
        if worker.process.pid is not None and worker.process.is_alive():
            os.kill(worker.process.pid, signal.SIGTERM)


@contextmanager
def _kill_at_exit(started: Mapping[int, Worker]) -> Iterator[None]:
    """Kill all workers when this context ends, whatever ends it."""
    try:
        yield
    finally:
        for worker in started.values():
            worker.process.kill()
            worker.process.join()


def _serve(pipe: Connection, payload: bytes, environment: Mapping[str, str]) -> None:
    """Do jobs until the pipe is closed; the body of a worker process."""
    exit_with_parent()
    prepare_output()
    os.environ.clear()  # else those of the server that it was forked from
    os.environ.update(environment)
    work = cloudpickle.loads(payload)
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(attempt(work, job))
