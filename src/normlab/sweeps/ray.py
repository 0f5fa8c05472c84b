"""The runs of a sweep as Ray tasks, on an existing cluster or on one started here for the sweep."""

import logging
import os
import socket
from collections.abc import Sequence

from normlab.config.sweep import Job
from normlab.errors import ConfigurationError
from normlab.processes.children import SECONDS_TO_STOP
from normlab.processes.stopping import StopRequest
from normlab.sweeps.jobs import Work
from normlab.sweeps.workers import Outcome

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is imported

import ray
from ray.exceptions import RayError, RayTaskError

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 0.5

SECONDS_TO_ANSWER = 10.0
"""Time for the head of a cluster to answer."""


def run_on_ray(work: Work, jobs: Sequence[Job], address: str | None, num_cpus: float, num_gpus: float) -> list[Outcome]:
    """Return the outcomes of `work(job)` for all jobs, in their order, with the settings of `RayLauncher`.

    The settings of runs are sent resolved, since the workers have neither this process's environment variables nor its
    working directory. A worker that dies costs its run alone, which is not retried: the same command resumes it.

    Raises:
        ConfigurationError: there is no cluster at the address.
        SystemExit: with 128 + the signal's number, after a signal.
    """
    try:
        if ":" in (place := address or os.environ.get("RAY_ADDRESS", "")):
            _check_address(place)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError, RayError) as error:
        raise ConfigurationError(
            f"hydra/launcher=ray finds no cluster at {place or 'this machine'}: {error}"
        ) from error
    try:
        _require_resources(num_cpus, num_gpus, can_grow=bool(place))
        with StopRequest().listen() as stop:
            task = ray.remote(num_cpus=num_cpus, num_gpus=num_gpus, max_retries=0)(Work.__call__)
            shared = ray.put(work)
            tasks = [task.remote(shared, job) for job in jobs]
            left = tasks
            while left and stop.signal is None:
                _, left = ray.wait(left, num_returns=len(left), timeout=SECONDS_BETWEEN_LOOKS)
            if stop.signal is not None:
                for running in left:
                    ray.cancel(running)  # arrives as Ctrl-C
                if left:
                    ray.wait(left, num_returns=len(left), timeout=SECONDS_TO_STOP)
                raise SystemExit(stop.exit_status)
            return [_read_outcome(ended) for ended in tasks]
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Raise OSError or ValueError if nothing listens there; Ray itself would retry for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER).close()


def _require_resources(num_cpus: float, num_gpus: float, can_grow: bool) -> None:
    """Say that no node has the cores and GPUs of a run; raise ConfigurationError if none ever will."""
    nodes = [node["Resources"] for node in ray.nodes()]  # type: ignore[no-untyped-call]
    if any(node.get("CPU", 0) >= num_cpus and node.get("GPU", 0) >= num_gpus for node in nodes):
        return
    sizes = ", ".join(f"{node.get('CPU', 0):g} and {node.get('GPU', 0):g}" for node in nodes)
    message = (
        f"no node of the Ray cluster has the {num_cpus:g} cores and {num_gpus:g} GPUs of a run (they have {sizes})"
    )
    if not can_grow:
        raise ConfigurationError(f"{message}: choose hydra.launcher.num_cpus and hydra.launcher.num_gpus")
    log.warning("%s: waiting for one", message)


def _read_outcome(task: "ray.ObjectRef[object]") -> Outcome:
    try:
        return Outcome(value=ray.get(task))
    except RayTaskError as error:
        return Outcome(error=str(error.cause) or type(error.cause).__name__)
    except RayError as error:
        return Outcome(error=str(error).strip().splitlines()[0])
