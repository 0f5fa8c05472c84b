"""The check of a sweep before its first run."""

from collections import Counter

import pytest

from normlab.config.compose import compose
from normlab.data import Splits
from normlab.data.preprocessing import ZCA
from normlab.errors import ConfigurationError
from normlab.models import MLP
from normlab.runs.run import Run
from normlab.sweeps.plan import check

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
    check(
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
    assert calls == {"network": 6, "data": 2, "fit": 1}


def test_a_mistake_in_one_variant_shows_though_another_shares_its_data() -> None:
    with pytest.raises(ConfigurationError, match="momentum must be in"):
        check([planned(), planned("normalizer=batch", "normalizer.momentum=2")])
