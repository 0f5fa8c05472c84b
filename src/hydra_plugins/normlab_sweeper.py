"""Hydra's sweepers: every combination of the values, or a search among them. Both run only what is missing.

Hydra loads each plugin at every start of any Hydra command, so nothing here imports torch, pandas or Optuna before it
sweeps.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobStatus, env_override
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from normlab.config.checks import require_between
from normlab.config.sweep import Job, PlannedJobs, Planner
from normlab.errors import ConfigurationError, require_extra
from normlab.processes.stopping import StopRequest
from normlab.runs.run import Run
from normlab.sweeps.claims import check_claims, note
from normlab.sweeps.cost import estimate_cost
from normlab.sweeps.machine import count_concurrent_runs
from normlab.sweeps.plan import check, check_overrides, index_variants, list_unfinished, report
from normlab.sweeps.progress import show_progress
from normlab.sweeps.until_decided import UntilDecided, check_settings, group_variants, order_seeds, require_claims

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class AblationSweeper(BasicSweeper):
    """Runs every combination of the values of a sweep.

    Args:
        max_batch_size: jobs that are launched at a time; null for all.
        report: build the report at the end.
        params: the experiment's sweep, from key to override.
        until: "decided" to add seeds to the variants of undecided claims until there are none.
        first_seeds: number of seeds at the first look at the claims.
        max_seeds: largest number of seeds of a variant.
        dry_run: say what the missing runs would cost, and start none.
    """

    max_batch_size: int | None = None
    report: bool
    params: dict[str, str] | None  # type: ignore[assignment]  # BasicSweeper makes None a dict
    until: str | None = None
    first_seeds: int = 6
    max_seeds: int = 20
    dry_run: bool = False

    def __post_init__(self) -> None:
        super().__init__(self.max_batch_size, self.params)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Raises ConfigurationError if a setting of the sweeper is out of range."""
        for key in ("max_batch_size", "n_trials", "at_once"):
            if getattr(self, key, None) is not None:
                require_between(f"hydra.sweeper.{key}", getattr(self, key), 1)
        if self.until is not None:
            check_settings(self.until, self.first_seeds, self.max_seeds)
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.parser = OverridesParser.create(hydra_context.config_loader)
        self.planner = Planner(hydra_context.config_loader, config)  # type: ignore[arg-type]  # Hydra has one loader
        self.jobs: dict[tuple[str, ...], Job] = {}
        """By overrides."""
        self.tried: set[str] = set()
        """Variants, which are tried once for all seeds."""

    def sweep(self, arguments: list[str]) -> None:
        """Check all jobs, launch those whose runs are missing, report.

        Raises:
            ConfigurationError: a job's config or data are wrong, before any job started; or jobs failed, after the
                others ended.
            SystemExit: after Ctrl-C or SIGTERM.
        """
        assert self.config is not None
        with env_override(dict(self.config.hydra.job.env_set)):  # on which configs and data may depend
            # Those of the command line come last.
            overrides = self.parser.parse_overrides([*self._parse_config(), *arguments])
            check_overrides(overrides, is_search=isinstance(self, SearchSweeper))
            self.sweep_over(overrides)

    def sweep_over(self, overrides: list[Override]) -> None:
        """Sweep over the values of some overrides. Raises as `sweep` does."""
        if self.dry_run:
            print(estimate_cost(self.plan(chain(*self.split_arguments(overrides, None)))))
            return
        if self.until is not None:
            self.sweep_until_decided(overrides)
            return
        batches = [self.plan(batch) for batch in self.split_arguments(overrides, self.max_batch_size)]
        runs = [*chain(*batches)]
        self.check_claims(runs)
        self.finish(runs, self.run_missing(batches))

    def sweep_until_decided(self, overrides: list[Override]) -> None:
        """Run the first seeds of all variants, and further ones while claims are undecided. Raises as `sweep` does."""
        seeds = self.parser.parse_overrides([order_seeds(overrides, self.max_seeds)])
        runs = self.plan(chain(*self.split_arguments([*overrides, *seeds], None)))
        require_claims(runs[0].settings)
        self.check_claims(runs)
        looks = UntilDecided(group_variants(runs), self.first_seeds)
        stopped: SystemExit | None = None
        done = 0
        while stopped is None and (new := looks.runs[done:]):
            size = self.max_batch_size or len(new)
            stopped = self.run_missing([new[start : start + size] for start in range(0, len(new), size)])
            done += len(new)
            if stopped is None:
                looks.add_seeds()
        looks.note_budget()
        self.finish(looks.runs, stopped)

    def plan(self, batch: Iterable[Sequence[str]]) -> list[Run]:
        """Return the run of each job, which is a list of overrides. Raises ConfigurationError."""
        planned = [self.planner.plan(overrides, len(self.jobs) + place) for place, overrides in enumerate(batch)]
        self.jobs |= {tuple(job.run.overrides): job for job in planned}
        return [job.run for job in planned]

    def check_claims(self, runs: Sequence[Run]) -> None:
        """Check the claims of the runs. Raises ConfigurationError."""
        swept = {
            override.key_or_group: [*override.sweep_string_iterator()]
            for override in self.parser.parse_overrides(self._parse_config())
            if override.is_sweep_override() and not override.is_interval_sweep()
        }
        check_claims(runs, swept)

    def run_missing(self, batches: Sequence[Sequence[Run]]) -> SystemExit | None:
        """Run what is missing, batch by batch; return the exit if Ctrl-C or SIGTERM ended it early."""
        missing = [[run for run in batch if run.is_missing] for batch in batches]
        untried = {name: run for name, run in index_variants(chain(*missing)).items() if name not in self.tried}
        check([*untried.values()])
        self.tried |= untried.keys()
        runs = [*chain(*batches)]
        note(runs)
        try:
            with show_progress(runs, [*chain(*missing)]), StopRequest().listen() as stop:
                # For launchers that handle no signals: they end their workers when this is raised in them.
                stop.on_request = lambda: sys.exit(stop.exit_status)
                for batch in missing:
                    # Other processes may have finished some meanwhile, such as jobs of a driver that was killed.
                    if left := [run for run in batch if run.is_missing]:
                        self.launch(left)
        except SystemExit as signalled:
            return signalled
        except ConfigurationError:
            raise
        except Exception as error:  # joblib gives up if a worker dies; the list of unfinished runs names what is left
            log.error("The launcher gave up: %s", error)
        return None

    def launch(self, runs: Sequence[Run]) -> None:
        """Launch runs, and log those that failed outside of training; other failures are in their records."""
        assert self.launcher is not None
        assert self.hydra_context is not None
        jobs = {tuple(run.overrides): self.jobs[tuple(run.overrides)] for run in runs}
        # The launcher asks its context for the config of each job.
        self.launcher.hydra_context = HydraContext(  # type: ignore[attr-defined]
            config_loader=PlannedJobs(self.planner.hydra, jobs),  # type: ignore[arg-type]
            callbacks=self.hydra_context.callbacks,
        )
        first = next(iter(jobs.values())).number
        for result in self.launcher.launch([list(overrides) for overrides in jobs], initial_job_idx=first):
            if result.status == JobStatus.FAILED:
                log.error("%s", result._return_value)

    def finish(self, runs: Sequence[Run], stopped: SystemExit | None) -> None:
        """Report, unless the sweep was stopped; then raise that exit, or ConfigurationError if runs are unfinished."""
        is_reported = stopped is not None or not self.report or report(runs)
        unfinished = list_unfinished(runs)
        if stopped is not None:
            if unfinished is not None:
                print(unfinished, file=sys.stderr)
            raise stopped
        if unfinished is not None:
            raise ConfigurationError(unfinished)
        if not is_reported:
            sys.exit(1)


@dataclass(kw_only=True)
class SearchSweeper(AblationSweeper):
    """Lets Optuna choose the values, trial by trial, to maximize validation accuracy.

    hydra-optuna-sweeper is tied to Optuna 2 (of 2021), starts from the beginning when it is started again, and searches
    over seeds as if they were hyperparameters. Here a trial makes one run for each seed, and its value is their mean.

    Args:
        n_trials: number of trials in all, those of earlier starts of the same search included.
        at_once: how many are chosen at a time; null for one per core.
        storage: file that keeps the trials.
        sampler: from a keyword `seed` to an Optuna sampler.
    """

    n_trials: int
    at_once: int | None
    storage: str
    sampler: Callable[..., Any]  # a text could not be resolved: Hydra executes a plugin before it is in sys.modules

    def sweep_over(self, overrides: list[Override]) -> None:
        """Run the trials that are missing, print the best trial, report. Raises as `AblationSweeper.sweep` does."""
        with require_extra("optuna"):
            from normlab.sweeps.search import Search

        search = Search(overrides, Path(self.storage).expanduser(), self.sampler, self.n_trials)
        assert self.config is not None
        at_once = self.at_once or count_concurrent_runs(self.config.accelerator.processes)
        stopped: SystemExit | None = None
        while stopped is None and (trials := search.next(at_once)):
            planned = [self.plan(search.jobs_of(trial)) for trial in trials]
            runs = [*chain(*planned)]
            search.require_metric(runs)
            stopped = self.run_missing([runs])
            for trial, its in zip(trials, planned, strict=True):
                search.tell(trial, [run.state() for run in its], stopped is not None)
        print(search.best())
        self.finish([run for trial in search.trials for run in self.plan(search.jobs_of(trial))], stopped)
