"""The command `normlab`: one run, or with an experiment the whole ablation."""

import logging
import re
import sys
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig

from normlab import __version__
from normlab.config.compose import config_directory, read_run
from normlab.config.schema import register_schema
from normlab.errors import ConfigurationError
from normlab.processes.output import prepare_output

log = logging.getLogger(__name__)


register_schema()


def main() -> None:
    """Run the command, with its own version and a message for a group without choice, which Hydra does not have."""
    prepare_output()
    arguments = sys.argv[1:]
    if "--version" in arguments:
        print(f"normlab {__version__}")
        return
    if directory := get_args_parser().parse_known_args(arguments)[0].config_dir:
        _require_visible(Path(directory))
    for group in (match[1] for text in arguments if (match := re.fullmatch(r"([\w/]+)=(null|~|)", text))):
        choices = sorted(file.stem for file in (config_directory() / group).glob("*.yaml"))
        if choices:
            sys.exit(f"the config group {group} needs a choice: {', '.join(choices)}")
    for group, value in (match.groups() for text in arguments if (match := re.fullmatch(r"([\w/]+)=(\w+)", text))):
        parsed = OverridesParser.create().parse_override(f"{group}={value}").value()
        if (config_directory() / group).is_dir() and not isinstance(parsed, str):
            sys.exit(f"{group}={value} names no file but {parsed!r}: quote the name of the file, '{group}=\"{value}\"'")
    compose_and_train()


def _require_visible(directory: Path) -> None:
    """Exit with a message if a choice of a user's own has the name of a shipped one, which Hydra would take instead."""
    for file in sorted(directory.glob("*/**/*.yaml")):
        shipped = config_directory() / file.relative_to(directory)
        if shipped.is_file() and shipped.read_bytes() != file.read_bytes():
            sys.exit(f"{file} is hidden by the config of that name that ships with normlab: choose another name")


@hydra.main(version_base="1.3", config_path=str(config_directory()), config_name="config")
def compose_and_train(config: DictConfig) -> str:
    """Train the run that Hydra composed; return how it ended (the `status` of its record)."""
    alone = HydraConfig.get().mode == RunMode.RUN
    try:
        run = read_run(config)

        # Imports torch, which the message for a wrong value need not wait for.
        from normlab.training.run import RunFailedError, RunInterrupted, train

        try:
            return train(run, progress=alone and sys.stderr.isatty(), trial=alone).status
        except RunFailedError as failure:
            if alone:
                raise failure.cause from None
            # In a sweep a failure ends its own run alone; the sweep lists it at its end.
            log.error("%s", failure)
            return "failed"
        except RunInterrupted as interruption:
            sys.exit(interruption.exit_status)
    except ConfigurationError as mistake:
        log.debug("Traceback of the user error:", exc_info=True)
        if alone:
            sys.exit(str(mistake))  # Hydra would print the overrides in front of it
        raise
