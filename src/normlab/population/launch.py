"""Share the jobs of a sweep out among populations: those that differ in their seed alone are trained together."""

import gc
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import torch
from hydra.core.utils import configure_log

from normlab.config.sweep import Job
from normlab.errors import ConfigurationError
from normlab.population.run import NotVectorizableError, count_steps_done, train_together
from normlab.sweeps.jobs import Work
from normlab.sweeps.workers import Outcome, attempt, run_in_processes

log = logging.getLogger(__name__)

SMALLEST_SHARE = 2
"""Runs for which a further worker is worth its start-up time."""


def run_in_populations(
    work: Work, jobs: Sequence[Job], size: int, workers: int, environments: Sequence[Mapping[str, str]] = ()
) -> list[Outcome]:
    """Return the outcomes of all jobs, in their order. What cannot be trained together is trained one by one.

    Args:
        work: does a job alone.
        jobs: of the sweep.
        size: largest number of runs trained together.
        workers: number of populations trained at once, each in a process; one is trained in this process.
        environments: further environment variables of the first worker, the second and so on.

    Raises:
        SystemExit: with 128 + the signal's number, after a signal.
    """
    populations = _divide(_group(jobs), size, workers)
    outcomes: dict[int, Outcome] = {}
    if workers == 1:
        for population in populations:
            outcomes |= _train(work, population)
    else:
        results = run_in_processes(partial(_train, work), populations, min(workers, len(populations)), environments)
        for population, result in zip(populations, results, strict=True):
            outcomes |= result.value or {job.number: result for job in population}
    return [outcomes[job.number] for job in jobs]


def _group(jobs: Sequence[Job]) -> list[list[Job]]:
    """Return the jobs in groups that may be trained together: equal but for their seed, at the same step."""
    groups = defaultdict(list)
    for job in jobs:
        rest = {**job.run.settings, "seed": None}
        groups[json.dumps([rest, dict(job.run.choices), count_steps_done(job.run)], sort_keys=True)].append(job)
    return [*groups.values()]


def _divide(groups: Iterable[list[Job]], size: int, workers: int) -> list[list[Job]]:
    """Cut groups into populations of at most `size` runs, and large ones further until every worker has one."""
    populations = [group[start : start + size] for group in groups for start in range(0, len(group), size)]
    while len(populations) < workers:
        largest = max(populations, key=len)
        middle = len(largest) // 2
        if middle < SMALLEST_SHARE:
            break
        populations.remove(largest)
        populations += [largest[:middle], largest[middle:]]
    return populations


def _train(work: Work, jobs: Sequence[Job]) -> dict[int, Outcome]:
    """Train the runs of some jobs together if possible, and half as many at a time if memory runs out."""
    if len(jobs) == 1:
        return {jobs[0].number: attempt(work, jobs[0])}
    # The previous population is still in memory, held by reference cycles.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    configure_log(work.hydra.job_logging, work.hydra.verbose)
    names = f"{jobs[0].run.id} and {len(jobs) - 1} more"
    try:
        train_together([job.run for job in jobs])
        return {job.number: Outcome(value=job.run.state().status) for job in jobs}
    except ConfigurationError as mistake:
        return {job.number: Outcome(error=str(mistake)) for job in jobs}
    except torch.AcceleratorError as error:
        return {job.number: Outcome(error=f"the GPU was lost: {error}") for job in jobs}
    except NotVectorizableError as error:
        log.warning("%s are trained one after another: %s", names, error)
        size = 1
    except MemoryError:
        log.warning("%s do not fit into memory together: half of them at a time", names)
        size = -(-len(jobs) // 2)
    # Outside of the handlers, whose exception would keep alive what did not fit.
    outcomes: dict[int, Outcome] = {}
    for start in range(0, len(jobs), size):
        outcomes |= _train(work, jobs[start : start + size])
    return outcomes
