"""The check of a sweep before its first run."""

import pytest
from hydra.utils import instantiate

from normlab.config.checks import ConfigurationError
from normlab.config.compose import composed
from normlab.sweeps.plan import PlannedRun, check
from normlab.training import build as assembly

from ..small_digits import SMALL


def planned(*overrides: str) -> PlannedRun:
    return PlannedRun(*composed("data=digits", SMALL, *overrides))


def test_every_variant_is_built_once_and_each_preprocessing_fitted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def counted(node: dict[str, object], **arguments: object) -> object:
        built.append(str(node.get("_target_")).rpartition(".")[2])
        return instantiate(node, **arguments)

    monkeypatch.setattr(assembly, "instantiate", counted)
    check(
        [
            planned(f"normalizer={normalizer}", f"preprocessing={preprocessing}", f"seed={seed}")
            for normalizer in ("none", "batch", "slim")
            for preprocessing in ("zca", "center")
            for seed in (0, 1)
        ]
    )
    assert built.count("MLP") == 6
    assert built.count("small_digits") == 2
    # Once for the training images, and once for the cloud that the report pictures.
    assert (built.count("ZCA"), built.count("Center")) == (2, 2)


def test_a_mistake_in_one_variant_is_told_though_another_shares_its_data() -> None:
    with pytest.raises(ConfigurationError, match="momentum must lie in"):
        check([planned(), planned("normalizer=batch", "normalizer.momentum=2")])
