"""Hydra's sweepers: every combination of the values, or a search among them. Both run only what is missing.

Hydra loads each plugin at every start of any Hydra command, so heavy modules are imported when sweeping.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobStatus, env_override
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from normlab.config.sweep import Job
    from normlab.runs.run import Run
    from normlab.sweeps.search import Search

log = logging.getLogger(__name__)


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

    def __init__(
        self,
        max_batch_size: int | None,
        report: bool,
        params: dict[str, str] | None,
        until: str | None = None,
        first_seeds: int = 6,
        max_seeds: int = 20,
        dry_run: bool = False,
    ) -> None:
        super().__init__(max_batch_size, params)
        self.report = report
        self.until = until
        self.first_seeds = first_seeds
        self.max_seeds = max_seeds
        self.dry_run = dry_run

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Raises ConfigurationError if a setting of the sweeper is out of range."""
        from normlab.config.checks import require_between
        from normlab.config.sweep import Planner

        for key in ("max_batch_size", "n_trials", "at_once"):
            if getattr(self, key, None) is not None:
                require_between(f"hydra.sweeper.{key}", getattr(self, key), 1)
        if self.until is not None:
            from normlab.sweeps.until_decided import check_settings

            check_settings(self.until, self.first_seeds, self.max_seeds)
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.planner = Planner(hydra_context.config_loader, config)  # type: ignore[arg-type]  # Hydra has one loader
        self.jobs: dict[tuple[str, ...], Job] = {}
        self.tried: set[str] = set()
        """Variants, which are tried once for all seeds."""

    def sweep(self, arguments: list[str]) -> None:
        """Check all jobs, launch those whose runs are missing, report.

        Raises:
            ConfigurationError: a job's config or data are wrong, before any job started; or jobs failed, after the
                others ended.
            SystemExit: after Ctrl-C or SIGTERM.
        """
        with self.set_environment():
            overrides = self.parse(arguments)
            if self.dry_run:
                from normlab.sweeps.cost import estimate_cost

                print(estimate_cost(self.plan(chain(*self.split_arguments(overrides, None)))))
                return
            if self.until is not None:
                self.sweep_until_decided(overrides)
                return
            batches = [self.plan(batch) for batch in self.split_arguments(overrides, self.max_batch_size)]
            self.check_claims([*chain(*batches)])
            self.finish([*chain(*batches)], self.run_missing(batches))

    def sweep_until_decided(self, overrides: list[Override]) -> None:
        """Run the first seeds of all variants, and further ones while claims are undecided. Raises as `sweep` does."""
        from normlab.sweeps.until_decided import UntilDecided, group_variants, order_seeds, require_claims

        seeds = self.parse_overrides([order_seeds(overrides, self.max_seeds)])
        runs = [*chain(*map(self.plan, self.split_arguments([*overrides, *seeds], None)))]
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

    def set_environment(self) -> AbstractContextManager[None]:
        """Set the environment variables of the jobs (`hydra.job.env_set`), on which their configs and data may hang."""
        assert self.config is not None
        context: AbstractContextManager[None] = env_override(dict(self.config.hydra.job.env_set))
        return context

    def parse(self, arguments: list[str]) -> list[Override]:
        """Return the overrides of the sweep: those of the experiment, then those of the command line.

        Raises ConfigurationError if they sweep over experiments, or search without a sweeper that does.
        """
        from normlab.errors import ConfigurationError

        overrides = self.parse_overrides([*self._parse_config(), *arguments])
        for override in overrides:
            if override.is_interval_sweep() and not isinstance(self, SearchSweeper):
                raise ConfigurationError(
                    f"{override.input_line} is for a search: add hydra/sweeper=optuna, or list values"
                )
            if override.key_or_group == "experiment" and override.is_sweep_override():
                names = ", ".join(override.sweep_string_iterator())
                raise ConfigurationError(
                    f"{override.input_line} sweeps over experiments ({names}), but each sweeps over values of its own:"
                    " give one command for each, such as `normlab experiment=NAME` with the other overrides"
                )
            is_empty = override.is_sweep_override() and not override.is_interval_sweep()
            if is_empty and next(override.sweep_string_iterator(), None) is None:
                raise ConfigurationError(f"{override.input_line} names no value, so there is no run")
        return overrides

    def parse_overrides(self, overrides: list[str]) -> list[Override]:
        assert self.hydra_context is not None
        return OverridesParser.create(self.hydra_context.config_loader).parse_overrides(overrides)

    def plan(self, batch: Iterable[Sequence[str]]) -> "list[Run]":
        """Return the run of each job, which is a list of overrides. Raises ConfigurationError."""
        planned = [self.planner.plan(overrides, len(self.jobs) + place) for place, overrides in enumerate(batch)]
        self.jobs |= {tuple(job.run.overrides): job for job in planned}
        return [job.run for job in planned]

    def check_claims(self, runs: "Sequence[Run]") -> None:
        """Check the claims of the runs. Raises ConfigurationError."""
        from normlab.sweeps.claims import check_claims

        swept = {
            override.key_or_group: [*override.sweep_string_iterator()]
            for override in self.parse_overrides(self._parse_config())
            if override.is_sweep_override() and not override.is_interval_sweep()
        }
        check_claims(runs, swept)

    def run_missing(self, batches: "Sequence[Sequence[Run]]") -> SystemExit | None:
        """Run what is missing, batch by batch; return the exit if Ctrl-C or SIGTERM ended it early."""
        from normlab.errors import ConfigurationError
        from normlab.processes.stopping import StopRequest
        from normlab.sweeps.claims import note
        from normlab.sweeps.plan import check, index_variants
        from normlab.sweeps.progress import show_progress

        missing = [[run for run in batch if run.is_missing] for batch in batches]
        untried = {name: run for name, run in index_variants(chain(*missing)).items() if name not in self.tried}
        check([*untried.values()])
        self.tried |= untried.keys()
        note([*chain(*batches)])
        try:
            with show_progress([*chain(*batches)], [*chain(*missing)]), StopRequest().listen() as stop:
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

    def launch(self, runs: "Sequence[Run]") -> None:
        """Launch runs, and log those that failed outside of training; other failures are in their records."""
        from normlab.config.sweep import PlannedJobs

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

    def finish(self, runs: "Sequence[Run]", stopped: SystemExit | None) -> None:
        """Report, unless the sweep was stopped; then raise that exit, or ConfigurationError if runs are unfinished."""
        from normlab.errors import ConfigurationError
        from normlab.sweeps.plan import list_unfinished, report

        is_reported = report(runs) if stopped is None and self.report else True
        unfinished = list_unfinished(runs)
        if stopped is not None:
            if unfinished is not None:
                print(unfinished, file=sys.stderr)
            raise stopped
        if unfinished is not None:
            raise ConfigurationError(unfinished)
        if not is_reported:
            sys.exit(1)


class SearchSweeper(AblationSweeper):
    """Lets Optuna choose the values, trial by trial, to maximize validation accuracy.

    hydra-optuna-sweeper is tied to Optuna 2 (of 2021), starts from the beginning when it is started again, and searches
    over seeds as if they were hyperparameters. Here a trial makes one run for each seed, and its value is their mean.

    Args:
        n_trials: number of trials in all, those of earlier starts of the same search included.
        at_once: how many are chosen at a time; null for one per core.
        storage: file that keeps the trials.
        sampler: from a keyword `seed` to an Optuna sampler.
        report: build the report at the end.
        params: the experiment's sweep, from key to override.
    """

    def __init__(
        self,
        n_trials: int,
        at_once: int | None,
        storage: str,
        sampler: "Callable[..., BaseSampler]",
        report: bool,
        params: dict[str, str] | None,
    ) -> None:
        super().__init__(max_batch_size=None, report=report, params=params)
        self.n_trials = n_trials
        self.at_once = at_once
        self.storage = Path(storage).expanduser()
        self.sampler = sampler

    def sweep(self, arguments: list[str]) -> None:
        """Run the trials that are missing, print the best trial, report. Raises as `AblationSweeper.sweep` does."""
        from normlab.errors import require_extra

        with require_extra("optuna"):
            from normlab.sweeps.search import Search

        with self.set_environment():
            self.search(Search(self.parse(arguments), self.storage, self.sampler, self.n_trials))

    def search(self, search: "Search") -> None:
        """Run the trials of a search that are missing."""
        from normlab.sweeps.machine import count_concurrent_runs

        assert self.config is not None
        at_once = self.at_once or count_concurrent_runs(self.config.accelerator.processes)
        stopped: SystemExit | None = None
        while stopped is None and (trials := search.next(at_once)):
            planned = [self.plan(search.jobs_of(trial)) for trial in trials]
            search.require_metric([*chain(*planned)])
            stopped = self.run_missing([[*chain(*planned)]])
            for trial, runs in zip(trials, planned, strict=True):
                search.tell(trial, [run.state() for run in runs], stopped is not None)
        print(search.best())
        self.finish([run for trial in search.trials for run in self.plan(search.jobs_of(trial))], stopped)
