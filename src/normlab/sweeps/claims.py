"""The claims of a sweep: checked before its first run starts."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from normlab.config.checks import SPLITS
from normlab.errors import ConfigurationError
from normlab.report.claims import MAIN_METRIC, Claim, Selector, parse_claims
from normlab.report.variants import describe_run
from normlab.runs.claims import note_claims
from normlab.runs.run import Run, explain_unwritable


def check_claims(runs: Sequence[Run], sweep: Mapping[str, Sequence[str]]) -> None:
    """Check the grammar of claims, and that a full sweep of the experiment makes the variants that they name.

    Check also that it varies the factor by which variants are tuned, if there is one.

    Args:
        runs: the runs at hand, maybe a part of the experiment.
        sweep: key → values that the experiment's own file sweeps over.

    Raises:
        ConfigurationError: naming claim and key.
    """
    claims, tuned = _parse(runs[0].settings), runs[0].settings["report"]["tune"]
    if not claims and not tuned:
        return
    values: dict[str, set[str]] = {key: set(each) for key, each in sweep.items()}
    for run in runs:
        for key, value in describe_run(run.settings, run.choices).items():
            values.setdefault(key, set()).add(value)
    if tuned:
        _check_tuning(tuned, runs[0].settings["evaluate"]["splits"], values)
    for claim in claims:
        places = {"where": claim.where, claim.comparison: claim.rival, "than_where": claim.than_where}
        named = [("of", selector) for selector in claim.of] + [(key, each) for key, each in places.items() if each]
        for place, selector in named:
            _require_variants(f"claims.{claim.name}.{place}", selector, values)
        if claim.along is not None and len(values.get(claim.along, ())) < 2:
            raise ConfigurationError(f"claims.{claim.name}.along={claim.along} is no key that this experiment varies")


def check_metrics(settings: Mapping[str, Any], final: Collection[str], declared: Collection[str]) -> None:
    """Raise ConfigurationError if no run of these settings could have a metric that a claim is about.

    Args:
        settings: of any run of the experiment.
        final: metrics that are evaluated after the last step.
        declared: these, and metrics of curves whose direction is known.
    """
    for claim in _parse(settings):
        metric = claim.metric or settings["report"]["metric"] or MAIN_METRIC
        split, _, measure = metric.partition("/")
        if split in SPLITS and measure in {name.partition("/")[2] for name in declared}:
            continue  # `evaluate.splits` and `observe` decide which splits are measured
        if claim.at is None and claim.until is None and metric not in final:
            raise ConfigurationError(
                f"claims.{claim.name} is about {metric}, which is not evaluated after the last step: choose"
                f" {', '.join(final)}"
            )
        if claim.needs_direction and metric not in declared:
            raise ConfigurationError(
                f"claims.{claim.name} needs to know which values of {metric} are better, which no measurement declares"
            )


def note(runs: Sequence[Run]) -> None:
    """Note the claims of each experiment in its directory. Raises ConfigurationError if it cannot be written."""
    for run in {run.experiment_directory: run for run in runs}.values():
        with explain_unwritable(run.experiment_directory):
            note_claims(run.experiment_directory, run.settings["claims"])


def _check_tuning(factor: str, splits: Sequence[str], values: Mapping[str, set[str]]) -> None:
    if len(values.get(factor, ())) < 2:
        raise ConfigurationError(f"report.tune={factor} is no key that this experiment varies: sweep over it, or null")
    if not {"val", "test"} <= set(splits):
        raise ConfigurationError(
            f"report.tune={factor} chooses by the validation split and reports the test split: set"
            " evaluate.splits=[val,test]"
        )


def _parse(settings: Mapping[str, Any]) -> list[Claim]:
    try:
        return parse_claims(settings["claims"])
    except ValueError as mistake:
        raise ConfigurationError(str(mistake)) from None


def _require_variants(place: str, selector: Selector, values: Mapping[str, set[str]]) -> None:
    for key, value in selector.items():
        if value not in values.get(key, ()):
            known = f"choose among {', '.join(sorted(values[key]))}" if key in values else "no run has that key"
            raise ConfigurationError(f"{place} names {key}={value}, which this experiment never runs: {known}")
