"""What makes the tutorials' tables and figures: the launcher that suits the machine."""

from pathlib import Path

import pytest

from normlab.commands.paper import ON_CPUS, choose_launcher


def test_seeds_train_together_on_a_gpu_and_on_cpus_where_that_is_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert {name: choose_launcher(name, []) for name in ON_CPUS} == ON_CPUS
    assert set(ON_CPUS.values()) == {"processes", "population"}

    (tmp_path / "nvidia-smi").touch(mode=0o755)
    assert {choose_launcher(name, ["steps=5"]) for name in ON_CPUS} == {"population"}
    assert choose_launcher("deep_cnn", ["accelerator=cpu"]) == "processes"


def test_every_experiment_of_the_tutorials_is_among_them() -> None:
    conf = Path(__file__).parents[2] / "conf" / "experiment"
    of_a_tutorial = {path.stem for path in conf.glob("*.yaml") if "published:" in path.read_text()}
    assert of_a_tutorial <= ON_CPUS.keys()
