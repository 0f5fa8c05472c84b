"""Claims are checked before the first run of a sweep starts."""

from typing import Any

import pytest

from normlab.config.compose import compose
from normlab.errors import ConfigurationError
from normlab.runs.run import Run
from normlab.sweeps.claims import check_claims, check_metrics

SWEEP = {"normalizer": ["none", "batch"], "batch_size": ["8", "16"]}


def plan(*overrides: str, **claim: Any) -> Run:
    run = compose("data=digits", "normalizer=none", *overrides)
    return Run({**run.settings, "claims": {"it": {"says": "It holds.", **claim}}}, run.choices)


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ({"of": "layer", "above": 0.5}, r"claims\.it\.of names normalizer=layer, which .* choose among batch, none"),
        ({"of": "batch", "over": "nine"}, r"claims\.it\.over names normalizer=nine"),
        ({"of": "batch", "like": "nine", "within": 1}, r"claims\.it\.like names normalizer=nine"),
        ({"of": {"batch_size": 32}, "above": 0.5}, r"claims\.it\.of names batch_size=32.* choose among 16, 64, 8"),
        ({"of": "batch", "where": {"depth": 3}, "above": 1}, r"claims\.it\.where names depth=3.*no run has that key"),
        ({"of": "batch", "along": "model.width", "above": 0}, r"claims\.it\.along=model\.width is no key that"),
        ({"above": "high"}, r"claims\.it\.above=high is no finite number"),
    ],
    ids=str,
)
def test_a_claim_that_the_experiment_could_never_decide_is_a_mistake(claim: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_claims([plan(**claim)], SWEEP)


def test_a_part_of_the_experiment_may_be_run_without_the_variants_of_its_claims() -> None:
    for claim in ({"of": "batch", "over": "none"}, {"of": {"batch_size": 8}, "along": "batch_size", "above": 0}):
        check_claims([plan(**claim)], SWEEP)
        with pytest.raises(ConfigurationError):
            check_claims([plan(**claim)], {})


def test_a_factor_that_is_tuned_varies_in_the_experiment_and_is_chosen_apart_from_what_is_reported() -> None:
    run = plan("report.tune=batch_size", "evaluate.splits=[val,test]", of="batch", above=0.5)
    check_claims([run], SWEEP)
    with pytest.raises(ConfigurationError, match=r"report\.tune=batch_size is no key that this experiment varies"):
        check_claims([run], {"normalizer": ["none", "batch"]})
    one_split = plan("report.tune=batch_size", "evaluate.splits=[val]", of="batch", above=0.5)
    with pytest.raises(ConfigurationError, match=r"set evaluate\.splits=\[val,test\]"):
        check_claims([one_split], SWEEP)


def test_a_metric_that_no_run_could_have_is_a_mistake() -> None:
    final, declared = ["val/accuracy", "norm"], ["val/accuracy", "val/loss", "norm"]
    for metric in ("val/acuracy", "f1"):
        with pytest.raises(ConfigurationError, match=rf"claims\.it is about {metric}, which is not evaluated"):
            check_metrics(plan(metric=metric, above=0.5).settings, final, declared)
    check_metrics(plan(metric="train/accuracy", above=0.5).settings, final, declared)  # by evaluate.splits
    check_metrics(plan(metric="norm", above=0.5).settings, final, declared)
    check_metrics(plan(metric="curve", at=5, above=0.5).settings, final, declared)
    with pytest.raises(ConfigurationError, match=r"claims\.it needs to know which values of curve are better"):
        check_metrics(plan(metric="curve", until=5, above=0.5).settings, final, declared)
