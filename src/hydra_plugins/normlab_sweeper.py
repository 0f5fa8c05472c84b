"""Hydra's sweepers: every combination of the values, or a search among them; of both only what is missing is run."""

import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobStatus

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from normlab.sweeps.plan import PlannedRun

log = logging.getLogger(__name__)


class AblationSweeper(BasicSweeper):
    """Runs every combination of the values swept over.

    Hydra loads each plugin at every start of any Hydra command, so what is heavy is imported when sweeping.

    Args:
        max_batch_size: jobs that are launched at a time; null for all.
        report: build the report at the end.
        params: what the experiment sweeps over, from key to override.
    """

    def __init__(self, max_batch_size: int | None, report: bool, params: dict[str, str] | None) -> None:
        super().__init__(max_batch_size, params)
        self.report = report
        self.number_launched = 0

    def sweep(self, arguments: list[str]) -> None:
        """Check all jobs, launch those whose runs are missing, report.

        Raises:
            ConfigurationError: where a job's config or data are wrong, before any job started; and where jobs
                failed, after the others ended.
            SystemExit: after Ctrl-C or SIGTERM.
        """
        batches = self.split_arguments(self.parsed(arguments), self.max_batch_size)
        planned = [self.planned(batch) for batch in batches]
        self.conclude([*chain(*planned)], self.launched(planned))

    def parsed(self, arguments: list[str]) -> list[Override]:
        """Return what the experiment sweeps over, and the command line."""
        assert self.hydra_context is not None
        return OverridesParser.create(self.hydra_context.config_loader).parse_overrides(
            [*self._parse_config(), *arguments]
        )

    def planned(self, jobs: Iterable[Sequence[str]]) -> "list[PlannedRun]":
        """Return the run of each job, which is a list of overrides. Raises ConfigurationError."""
        from normlab.config.compose import settings_of
        from normlab.sweeps.plan import PlannedRun

        assert self.config is not None
        assert self.hydra_context is not None
        loader = self.hydra_context.config_loader
        return [PlannedRun(*settings_of(loader.load_sweep_config(self.config, list(job))), job) for job in jobs]

    def launched(self, batches: "Sequence[Sequence[PlannedRun]]") -> SystemExit | None:
        """Run what is missing, batch by batch; return what ended it early, if Ctrl-C or SIGTERM did."""
        from normlab.config.checks import ConfigurationError
        from normlab.processes.stopping import StopRequest
        from normlab.sweeps.plan import check
        from normlab.sweeps.progress import telling

        missing = [[run for run in batch if run.is_missing] for batch in batches]
        left = [*chain(*missing)]
        check(left)
        try:
            with telling([*chain(*batches)], left), StopRequest().listening() as request:
                # For launchers that take no signals themselves: they end their workers when this is raised in them.
                request.when_asked = lambda: sys.exit(request.exit_status)
                for batch in filter(None, missing):
                    self.launch([run.overrides for run in batch])
        except SystemExit as signalled:
            return signalled
        except ConfigurationError:
            raise
        except Exception as error:  # joblib gives up at a worker that died; the summary tells what is left to do
            log.error("The launcher gave up: %s", error)
        return None

    def launch(self, jobs: Sequence[Sequence[str]]) -> None:
        """Run jobs, and tell of those that failed outside of their runs, whose own failures stand in their records."""
        assert self.launcher is not None
        for result in self.launcher.launch(jobs, initial_job_idx=self.number_launched):
            if result.status == JobStatus.FAILED:
                log.error("%s", result._return_value)
        self.number_launched += len(jobs)

    def conclude(self, planned: "Sequence[PlannedRun]", stopped: SystemExit | None) -> None:
        """Report, unless the sweep was stopped; then end as `sweep` says where it was, or runs are left to do."""
        from normlab.config.checks import ConfigurationError
        from normlab.sweeps.plan import left_to_do, report

        if stopped is None and self.report:
            report(planned)
        unfinished = left_to_do(planned)
        if stopped is not None:
            if unfinished is not None:
                print(unfinished, file=sys.stderr)
            raise stopped
        if unfinished is not None:
            raise ConfigurationError(unfinished)


class SearchSweeper(AblationSweeper):
    """Lets Optuna choose the values, trial by trial, to maximize validation accuracy.

    hydra-optuna-sweeper is tied to Optuna 2 (of 2021), starts all over when it is started again, and searches
    over seeds as if they were hyperparameters. Here a trial makes one run for each seed, and its value is their mean.

    Args:
        n_trials: how many in all, those of earlier starts of the same search included.
        at_once: how many are chosen at a time; null for one per core.
        storage: file that the trials are kept in.
        sampler: from a keyword `seed` to an Optuna sampler.
        report: build the report at the end.
        params: what the experiment sweeps over, from key to override.
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
        """Make the trials that are missing, print the table and the best trial. Raises as the sweep of all does."""
        from normlab.config.checks import extra
        from normlab.sweeps.jobs import runs_at_once

        with extra("optuna"):
            from normlab.sweeps.search import Search

        assert self.config is not None
        search = Search(self.parsed(arguments), self.storage, self.sampler, self.n_trials)
        at_once = self.at_once or runs_at_once(self.config.accelerator.processes)
        stopped: SystemExit | None = None
        while stopped is None and (trials := search.next(at_once)):
            planned = [self.planned(search.jobs_of(trial)) for trial in trials]
            stopped = self.launched([[*chain(*planned)]])
            for trial, runs in zip(trials, planned, strict=True):
                search.tell(trial, [run.record for run in runs])
        print(search.best())
        self.conclude([run for trial in search.trials for run in self.planned(search.jobs_of(trial))], stopped)
