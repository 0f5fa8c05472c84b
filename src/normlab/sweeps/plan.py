"""A sweep as a whole: checked before its first run starts, reported after the last one has ended."""

import json
import logging
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.override_parser.types import Override

from normlab.errors import ConfigurationError
from normlab.runs.identity import variant_id
from normlab.runs.run import Run
from normlab.sweeps.claims import check_metrics
from normlab.sweeps.workers import run_in_processes

log = logging.getLogger(__name__)

DATA = ("data", "preprocessing", "accelerator", "augmentation", "sampler")
NETWORK = (
    "model",
    "normalizer",
    "initializer",
    "convolution_initializer",
    "reparametrization",
    "objective",
    "gradient",
    "trainable",
    "observe",
    "evaluate",
)


class Variant(NamedTuple):
    """Settings of a sweep without regard to the seed, to be tried once."""

    name: str
    settings: Mapping[str, Any]
    is_new: bool
    """Whether it is the first one with its data, network, objective and measurements, which then make a step."""


def check_overrides(overrides: Iterable[Override], is_search: bool) -> None:
    """Raise ConfigurationError for a sweep over experiments or over nothing, or an interval that nothing searches."""
    for override in overrides:
        if override.is_interval_sweep():
            if not is_search:
                raise ConfigurationError(
                    f"{override.input_line} is for a search: add hydra/sweeper=optuna, or list values"
                )
        elif override.is_sweep_override():
            values = [*override.sweep_string_iterator()]
            if override.key_or_group == "experiment":
                raise ConfigurationError(
                    f"{override.input_line} sweeps over experiments ({', '.join(values)}), but each sweeps over values"
                    " of its own: give one command for each, such as `normlab experiment=NAME` with the other overrides"
                )
            if not values:
                raise ConfigurationError(f"{override.input_line} names no value, so there is no run")


def check(runs: Sequence[Run]) -> None:
    """Try every variant once, so that a mistake in the last shows before the first has trained.

    It runs in another process, which a user's code may end; such a variant then fails in its runs. Raises
    ConfigurationError with all mistakes.
    """
    if not runs:
        return
    variants = list_variants(runs)
    outcomes = run_in_processes(try_variant, variants, workers=1)
    for variant, outcome in zip(variants, outcomes, strict=True):
        if outcome.error is not None:
            log.warning("%s could not be tried: %s", variant.name, outcome.error)
    mistakes = dict.fromkeys(outcome.value for outcome in outcomes if outcome.value)
    if mistakes:
        raise ConfigurationError("\n".join(mistakes))


def list_variants(runs: Sequence[Run]) -> list[Variant]:
    """List what to try, one data set after another."""
    variants, tried = [], set()
    for run in sorted(index_variants(runs).values(), key=lambda run: _select(run.settings, *DATA)):
        trial = _select(run.settings, *DATA, *NETWORK)
        name = f"{run.choices['model']} with {run.choices['normalizer']}"
        variants.append(Variant(name, run.settings, is_new=trial not in tried))
        tried.add(trial)
    return variants


def index_variants(runs: Iterable[Run]) -> dict[str, Run]:
    """Return a run of each variant, by the id that it would have with the seed 0."""
    return {variant_id(run.settings, run.choices): run for run in runs}


def group_by_directory(runs: Iterable[Run]) -> dict[Path, list[Run]]:
    """Return the runs below each directory of an experiment."""
    groups: dict[Path, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.experiment_directory, []).append(run)
    return groups


def try_variant(variant: Variant) -> str | None:
    """Build a variant on a few examples of its data, and make a step if it is new; return the mistake, if any."""
    # They import torch, which the driver of a sweep needs only to find GPUs or to train in its own process.
    from normlab.training.build import build
    from normlab.training.data import try_data

    try:
        parts = build(variant.settings, load=try_data, trial=variant.is_new)
        final = [name for measurement in parts.evaluations.values() for name in measurement.metrics]
        check_metrics(variant.settings, final, parts.metrics)
    except ConfigurationError as mistake:
        return str(mistake)
    return None


def _select(settings: Mapping[str, Any], *keys: str) -> str:
    return json.dumps([settings[key] for key in keys], sort_keys=True)


def report(runs: Sequence[Run]) -> bool:
    """Build the report of the variants of a sweep in each of its directories, and print it; return whether all are.

    It covers all seeds of these variants that are there. In a process of its own: pandas and matplotlib would double
    the memory of the driver.
    """
    sys.stdout.flush()
    are_built = True
    for directory, planned in group_by_directory(runs).items():
        if not directory.is_dir():  # no run has left a trace
            continue
        command = [sys.executable, "-c", "from normlab.commands.report import report_sweep; report_sweep()"]
        asked = json.dumps([str(directory), *index_variants(planned)])
        try:
            status = subprocess.run(command, input=asked, text=True, check=False).returncode
        except KeyboardInterrupt:
            status = 130
        if status:
            log.error("The report was not built; normlab-report %s tries again.", shlex.quote(str(directory)))
            are_built = False
    return are_built


def list_unfinished(runs: Sequence[Run]) -> str | None:
    """Return a list of the runs that failed, died or were interrupted, if any; log those that others still train."""
    unfinished = []
    for run in runs:
        state = run.state()
        if state.status == "running":
            log.info("%s %s", run.id, state.reason)
        elif not state.is_result:
            status = "" if state.status in ("missing", "died") else f"{state.status}, "
            unfinished.append(f"  {run.directory.path}: {(status + state.reason).removesuffix(', ')}")
    if not unfinished:
        return None
    heading = f"{len(unfinished)} of {len(runs)} runs did not finish; run the same command again to resume them:"
    return "\n".join([heading, *unfinished])
