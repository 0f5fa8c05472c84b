"""The runs of a sweep as tasks of Ray, on a cluster that is there or on one started for it here."""

import logging
import os
import socket
from collections.abc import Iterable

from omegaconf import DictConfig

from normlab.config.checks import ConfigurationError
from normlab.processes.children import SECONDS_TO_STOP
from normlab.processes.stopping import StopRequest
from normlab.sweeps.jobs import Work
from normlab.sweeps.workers import Outcome

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is imported

import ray
from ray.exceptions import RayError, RayTaskError

SECONDS_BETWEEN_LOOKS = 0.5

SECONDS_TO_ANSWER = 10.0
"""How long the head of a cluster may take to answer."""


def run_as_tasks(
    work: Work, configs: Iterable[DictConfig], address: str | None, num_cpus: float, num_gpus: float
) -> list[Outcome]:
    """Return the outcomes of `work(config)` for all configs, in their order.

    The configs come resolved, since the workers have neither this process's environment variables nor its working
    directory. A worker that dies costs its run alone, which is not tried again: it resumes when it is asked for.

    Args:
        work: what a task calls.
        configs: of the jobs, composed and resolved.
        address: "HOST:PORT" of the cluster's head; None for `RAY_ADDRESS`, or else a cluster of its own.
        num_cpus: cores that a run takes.
        num_gpus: GPUs that a run takes.

    Raises:
        ConfigurationError: where there is no cluster at the address.
        SystemExit: with 128 + the signal's number, where a signal ended it.
    """
    try:
        if address is not None:
            _knock_at(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError, RayError) as error:
        place = address or os.environ.get("RAY_ADDRESS", "this machine")
        raise ConfigurationError(f"hydra/launcher=ray finds no cluster at {place}: {error}") from error
    try:
        with StopRequest().listening() as request:
            task = ray.remote(num_cpus=num_cpus, num_gpus=num_gpus, max_retries=0)(_do)
            shared = ray.put(work)
            tasks = [task.remote(shared, config) for config in configs]
            left = tasks
            while left and request.signal is None:
                _, left = ray.wait(left, num_returns=len(left), timeout=SECONDS_BETWEEN_LOOKS)
            if request.signal is not None:
                for running in left:
                    ray.cancel(running)  # arrives as Ctrl-C
                if left:
                    ray.wait(left, num_returns=len(left), timeout=SECONDS_TO_STOP)
                raise SystemExit(request.exit_status)
            return [_outcome(ended) for ended in tasks]
    finally:
        ray.shutdown()


def _knock_at(address: str) -> None:
    """Raise OSError or ValueError where nobody answers there; Ray itself would go on asking for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER).close()


def _do(work: Work, config: DictConfig) -> object:
    return work(config)


def _outcome(task: "ray.ObjectRef[object]") -> Outcome:
    try:
        return Outcome(value=ray.get(task))
    except RayTaskError as error:
        return Outcome(error=str(error.cause) or type(error.cause).__name__)
    except RayError as error:
        return Outcome(error=str(error).strip().splitlines()[0])
