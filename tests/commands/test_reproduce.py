"""The experiments that are reproduced, and the launcher of each."""

from pathlib import Path

import pytest

from normlab.commands.reproduce import choose_launcher, list_experiments, plan


def test_seeds_train_together_on_a_gpu_and_on_cpus_if_that_is_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert choose_launcher("deep_cnn", []) == "processes"
    assert choose_launcher("mlp", []) == "population"

    (tmp_path / "nvidia-smi").touch(mode=0o755)
    assert choose_launcher("deep_cnn", ["steps=5"]) == "population"
    assert choose_launcher("deep_cnn", ["accelerator=cpu"]) == "processes"


def test_every_experiment_says_what_it_costs() -> None:
    for name in list_experiments():
        cost = plan(name, ["output_root=nowhere"]).cost
        assert cost.missing == cost.runs >= 6
        assert cost.core_minutes is not None
        assert cost.megabytes is not None
