"""Jobs that differ in their seed alone, made together; what cannot be is made alone, and said why."""

import gc
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from hydra.core.utils import configure_log
from omegaconf import DictConfig

from normlab.config.checks import ConfigurationError
from normlab.config.compose import settings_of
from normlab.population.run import NotTogetherError, run_together, updates_made
from normlab.sweeps.jobs import Work
from normlab.sweeps.plan import PlannedRun
from normlab.sweeps.workers import Outcome, outcome_of, run_in_processes

log = logging.getLogger(__name__)

SMALLEST_SHARE = 2
"""Runs for which a further worker is worth its start."""


@dataclass(frozen=True)
class _Job:
    number: int
    config: DictConfig
    run: PlannedRun


def run_in_populations(
    work: Work, configs: Iterable[DictConfig], size: int, workers: int, places: Sequence[Mapping[str, str]] = ()
) -> list[Outcome]:
    """Return the outcomes of all jobs, in their order.

    Args:
        work: does a job alone.
        configs: of the jobs, composed and resolved.
        size: how many runs are trained together at most.
        workers: how many populations are trained at once, each in a process; one is trained in this process.
        places: further environment variables of the first worker, the second and so on.

    Raises:
        SystemExit: with 128 + the signal's number, where a signal ended it.
    """
    jobs = [_Job(number, config, PlannedRun(*settings_of(config))) for number, config in enumerate(configs)]
    populations = _shared_out(_groups(jobs), size, workers)
    made: dict[int, Outcome] = {}
    if workers == 1:
        for population in populations:
            made |= _made(work, population)
    else:
        outcomes = run_in_processes(partial(_made, work), populations, min(workers, len(populations)), places)
        for population, outcome in zip(populations, outcomes, strict=True):
            made |= outcome.value or {job.number: outcome for job in population}
    return [made[job.number] for job in jobs]


def _shared_out(groups: Iterable[list[_Job]], size: int, workers: int) -> list[list[_Job]]:
    """Cut groups to populations of at most `size` runs, and to as many as there are workers where they are large."""
    populations = [group[start : start + size] for group in groups for start in range(0, len(group), size)]
    while len(populations) < workers:
        largest = max(populations, key=len)
        middle = len(largest) // 2
        if middle < SMALLEST_SHARE:
            break
        populations.remove(largest)
        populations += [largest[:middle], largest[middle:]]
    return populations


def _groups(jobs: Sequence[_Job]) -> list[list[_Job]]:
    """Return the jobs by what may be trained together: those that differ in their seed, at the same update."""
    groups = defaultdict(list)
    for job in jobs:
        rest = {**job.run.settings, "seed": None}
        groups[json.dumps([rest, dict(job.run.choices), updates_made(job.run)], sort_keys=True)].append(job)
    return [*groups.values()]


def _made(work: Work, jobs: Sequence[_Job]) -> dict[int, Outcome]:
    """Make the runs of some jobs together where that is possible; of half as many at a time where memory ends."""
    if len(jobs) == 1:
        return _made_alone(work, jobs)
    # What the population before held hangs in reference cycles, also after its exception is gone.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    configure_log(jobs[0].config.hydra.job_logging, jobs[0].config.hydra.verbose)
    names = f"{jobs[0].run.directory.path.name} and {len(jobs) - 1} more"
    try:
        run_together([job.run for job in jobs])
        return {job.number: _outcome(job) for job in jobs}
    except ConfigurationError as mistake:
        return {job.number: Outcome(error=str(mistake)) for job in jobs}
    except torch.AcceleratorError as error:
        return {job.number: Outcome(error=f"the GPU was lost: {error}") for job in jobs}
    except NotTogetherError as error:
        log.warning("%s are made one after another: %s", names, error)
        fits = True
    except MemoryError:
        log.warning("%s do not fit into memory together: half of them at a time", names)
        fits = False
    # Out here, where the exception no longer holds what did not fit.
    if fits:
        return _made_alone(work, jobs)
    middle = len(jobs) // 2
    return _made(work, jobs[:middle]) | _made(work, jobs[middle:])


def _made_alone(work: Work, jobs: Iterable[_Job]) -> dict[int, Outcome]:
    return {job.number: outcome_of(work, job.config) for job in jobs}


def _outcome(job: _Job) -> Outcome:
    record = job.run.record
    return Outcome(value=record.status if record else None)
