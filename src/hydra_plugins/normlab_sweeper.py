"""Hydra's basic sweep, of what is missing: all configs checked before the first run, one table after the last."""

import logging
import sys
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus

log = logging.getLogger(__name__)


class AblationSweeper(BasicSweeper):
    """Runs every combination of the values swept over.

    Hydra loads each plugin at every start of any Hydra command, so what is heavy is imported when sweeping.
    """

    def sweep(self, arguments: list[str]) -> Any:
        """Check all jobs, launch those whose runs are missing, print the table.

        Raises ConfigurationError where a job's config or data are wrong, before any job started, and where
        jobs failed, after the others ended.
        """
        from normlab.composing import settings_of
        from normlab.config import ConfigurationError
        from normlab.progress import telling
        from normlab.sweep import PlannedRun, check, summarize

        assert self.config is not None
        assert self.launcher is not None
        assert self.hydra_context is not None
        loader = self.hydra_context.config_loader
        overrides = OverridesParser.create(loader).parse_overrides([*self._parse_config(), *arguments])
        batches = self.split_arguments(overrides, self.max_batch_size)

        planned: list[PlannedRun] = []
        missing: list[list[tuple[PlannedRun, list[str]]]] = []
        for batch in batches:
            runs = [PlannedRun(*settings_of(loader.load_sweep_config(self.config, list(job)))) for job in batch]
            planned.extend(runs)
            missing.append([(run, job) for run, job in zip(runs, batch, strict=True) if run.is_missing])
        left = [run for batch in missing for run, _ in batch]
        check(left)

        results: list[JobReturn] = []
        stopped: SystemExit | None = None
        try:
            with telling(planned, left):
                for jobs in ([job for _, job in batch] for batch in missing if batch):
                    results.extend(self.launcher.launch(jobs, initial_job_idx=len(results)))
        except SystemExit as signalled:  # Ctrl-C or SIGTERM
            stopped = signalled
        for result in results:
            if result.status == JobStatus.FAILED:  # outside of its run, whose own failure stands in its record
                log.error("%s", result._return_value)
        unfinished = summarize(planned)
        if stopped is not None:
            if unfinished is not None:
                print(unfinished, file=sys.stderr)
            raise stopped
        if unfinished is not None:
            raise ConfigurationError(unfinished)
        return results
