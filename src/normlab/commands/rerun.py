"""The command `normlab-rerun`: trains a run again from its own config, and says whether the bytes agree."""

import argparse
import logging
import shutil
import sys
import tempfile
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from normlab.config.compose import reload
from normlab.errors import ConfigurationError
from normlab.processes.output import prepare_output
from normlab.runs.directory import RunDirectory
from normlab.runs.record import Record
from normlab.runs.sources import list_changes


def main() -> None:
    """Train the run and print the verdict; exit status 1 if the bytes differ, 2 if the run cannot be trained again."""
    prepare_output()
    parser = argparse.ArgumentParser(
        prog="normlab-rerun",
        description="Train a run again from its own config.yaml, in a temporary directory, and compare metrics.csv byte"
        " by byte. The run itself stays as it is.",
    )
    parser.add_argument("run_directory", type=Path, help="such as outputs/deep_cnn/runs/deep_cnn-tf_nn-seed0-46675e27")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        sys.exit(_rerun(asked.run_directory))
    except ConfigurationError as mistake:
        print(mistake, file=sys.stderr)
        sys.exit(2)


def _rerun(directory: Path) -> int:
    run = reload(directory)
    original = RunDirectory(directory)
    expected = original.state()
    if expected.record is None or not expected.record.is_result:
        raise ConfigurationError(f"{directory} holds no result to compare with: it is {expected.status}")
    from normlab.training.run import RunFailedError, RunInterrupted, train  # imports torch

    place = Path(tempfile.mkdtemp(prefix="normlab-rerun-"))
    again = replace(run, settings={**run.settings, "output_root": str(place), "force": False})
    keep = False
    try:
        record = train(again, progress=sys.stderr.isatty())
        difference = _compare(original, again.directory)
        keep = difference is not None
        print(f"{run.id}: {difference or 'metrics.csv agrees to the byte'}")
        if difference is None:
            return 0
        print(_compare_environments(expected.record, record))
        print(f"The new run is kept in {again.directory.path}")
        return 1
    except RunFailedError as failure:
        raise ConfigurationError(str(failure)) from failure
    except RunInterrupted as interruption:
        return interruption.exit_status
    finally:
        if not keep:
            shutil.rmtree(place)


def _compare(original: RunDirectory, again: RunDirectory) -> str | None:
    """Return where the curves of two runs differ first; None if they agree to the byte."""
    before, after = (directory.metrics.read_text(encoding="utf-8") for directory in (original, again))
    if before == after:
        return None
    lines = zip_longest(before.splitlines(), after.splitlines(), fillvalue="nothing")
    number, (was, now) = next((n, pair) for n, pair in enumerate(lines, start=1) if pair[0] != pair[1])
    return f"metrics.csv differs from line {number} on: it was {was}, now it is {now}"


def _compare_environments(before: Record, after: Record) -> str:
    """Return what differs between the environments of two runs, which may explain why their bytes do."""
    code = list_changes(before.sources, after.sources)
    keys = [key for key in after.environment if before.environment.get(key) != after.environment[key]]
    if not keys and not code:
        return "Code and environment are the same, as far as records tell."
    changes = (f"  {key}: {before.environment.get(key)} → {after.environment[key]}" for key in keys)
    return "\n".join(["Differences in code and environment:", *changes, *(f"  code of {name}" for name in code)])
