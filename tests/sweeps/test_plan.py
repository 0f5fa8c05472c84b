"""The check of a sweep before its first run."""

import os
import re
import signal
from collections import Counter

import pytest
from torch import Tensor, nn

from normlab.config.compose import compose
from normlab.data import Splits
from normlab.data.preprocessing import ZCA
from normlab.errors import ConfigurationError
from normlab.models import MLP
from normlab.runs.run import Run
from normlab.sweeps.plan import check, list_variants, try_variant

from ..small_digits import SMALL, small_digits

calls: Counter[str] = Counter()


def counted_digits() -> Splits:
    calls["data"] += 1
    return small_digits()


class CountedMLP(MLP):
    def __init__(self, *args, **kwargs) -> None:  # type: ignore[no-untyped-def]
        calls["network"] += 1
        super().__init__(*args, **kwargs)


class CountedZCA(ZCA):
    def fit(self, features):  # type: ignore[no-untyped-def]
        calls["fit"] += len(features) == min(len(small_digits().train.targets), 1_000)
        return super().fit(features)


def planned(*overrides: str) -> Run:
    return compose("data=digits", SMALL, *overrides)


def test_every_variant_is_built_once_and_each_preprocessing_fitted_once() -> None:
    calls.clear()
    variants = list_variants(
        [
            planned(
                f"normalizer={normalizer}",
                f"seed={seed}",
                f"preprocessing={preprocessing}",
                *[f"preprocessing._target_={__name__}.CountedZCA"] * (preprocessing == "zca"),
                f"data._target_={__name__}.counted_digits",
                f"model._target_={__name__}.CountedMLP",
            )
            for normalizer in ("none", "batch", "slim")
            for preprocessing in ("zca", "center")
            for seed in (0, 1)
        ]
    )
    assert [try_variant(variant) for variant in variants] == [None] * 6
    assert calls == {"network": 6, "data": 2, "fit": 1}


def test_a_mistake_in_one_variant_shows_though_another_shares_its_data() -> None:
    with pytest.raises(ConfigurationError, match="momentum must be in"):
        check([planned(), planned("normalizer=batch", "normalizer.momentum=2")])


def test_a_step_is_tried_once_for_all_seeds_and_learning_rates() -> None:
    variants = list_variants(
        [
            planned(f"normalizer={normalizer}", f"optimizer.lr={rate}", f"seed={seed}")
            for normalizer in ("none", "batch")
            for rate in (0.1, 0.2)
            for seed in (0, 1)
        ]
    )
    assert [variant.is_new for variant in variants] == [True, False, True, False]


class FailsBackwards(nn.Identity):
    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.requires_grad:
            inputs.register_hook(self.fail)  # type: ignore[no-untyped-call]
        return inputs

    def fail(self, gradient: Tensor) -> None:
        raise RuntimeError("no gradient")


class Dies(nn.Identity):
    def forward(self, inputs: Tensor) -> Tensor:
        os.kill(os.getpid(), signal.SIGKILL)
        return inputs


def test_what_would_fail_in_every_step_is_named_before_the_sweep_with_all_other_mistakes() -> None:
    fails = planned(f"normalizer._target_={__name__}.FailsBackwards")
    with pytest.raises(ConfigurationError) as mistakes:
        check([planned(), planned("normalizer=batch", "normalizer.eps=0"), fails])
    first, second = sorted(str(mistakes.value).splitlines())
    assert re.match(r"a training step with 8 examples fails in BatchNorm \(.*\): ValueError: .*eps must be", first)
    assert re.search(r"fails in FailsBackwards \(.*test_plan.py\): RuntimeError: no gradient", second)


def test_a_variant_whose_code_ends_its_process_is_named_and_left_to_its_runs(caplog: pytest.LogCaptureFixture) -> None:
    check([planned(), planned(f"normalizer._target_={__name__}.Dies")])
    assert "mlp with none could not be tried: its process" in caplog.text
