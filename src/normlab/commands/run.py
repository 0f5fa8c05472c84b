"""The command `normlab`: one run, or with an experiment the whole ablation."""

import logging
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from normlab.config.checks import ConfigurationError, validated
from normlab.config.compose import config_directory
from normlab.config.schema import register_schema

log = logging.getLogger(__name__)


register_schema()


@hydra.main(version_base="1.3", config_path=str(config_directory()), config_name="config")
def main(config: DictConfig) -> str:
    """Run the job that Hydra composed; return how it ended (the `status` of its record)."""
    alone = HydraConfig.get().mode == RunMode.RUN
    try:
        settings = validated(config)

        # Imports torch, which a wrong value need not wait for.
        from normlab.training.run import RunFailedError, RunInterrupted, run

        try:
            return run(settings, HydraConfig.get().runtime.choices, progress=alone and sys.stderr.isatty()).status
        except RunFailedError as failure:
            if alone:
                raise failure.cause from None
            # In a sweep a failure ends its own run alone; the sweep lists it at its end.
            log.error("%s", failure)
            return "failed"
        except RunInterrupted as interruption:
            sys.exit(interruption.exit_status)
    except ConfigurationError as mistake:
        log.debug("Where the mistake showed:", exc_info=True)
        if alone:
            sys.exit(str(mistake))  # Hydra would print the overrides in front of it
        raise
