"""Hydra's basic sweep with all configs checked before the first run, and one table after the last."""

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn


class AblationSweeper(BasicSweeper):
    """Runs every combination of the values swept over.

    Hydra loads each plugin at every start of any Hydra command, so what is heavy is imported when sweeping.
    """

    def sweep(self, arguments: list[str]) -> Any:
        """Check all jobs, launch them, print the table.

        Raises ConfigurationError where a job's config or data are wrong, before any job started, and where
        jobs failed, after the others ended.
        """
        from normlab.composing import settings_of
        from normlab.sweep import PlannedRun, check, summarize

        assert self.config is not None
        assert self.launcher is not None
        assert self.hydra_context is not None
        loader = self.hydra_context.config_loader
        overrides = OverridesParser.create(loader).parse_overrides([*self._parse_config(), *arguments])
        batches = self.split_arguments(overrides, self.max_batch_size)

        planned = [
            PlannedRun(*settings_of(loader.load_sweep_config(self.config, list(job))))
            for batch in batches
            for job in batch
        ]
        check(planned)

        results: list[JobReturn] = []
        for batch in batches:
            results.extend(self.launcher.launch(batch, initial_job_idx=len(results)))
        summarize(planned)
        for result in results:
            _ = result.return_value  # raises what a job raised outside of its run
        return results
