"""Every run of a report stands beside the command that makes it again."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from normlab.config.checks import run_id
from normlab.config.compose import composed
from normlab.report.commands import commands
from normlab.report.load import load
from normlab.runs.record import Record, RunDirectory


def leave_run(root: Path, *overrides: str) -> str:
    """Write record and config of the run that these overrides ask for; return its id."""
    settings, choices = composed(*overrides)
    directory = RunDirectory(root / "runs" / run_id(settings, choices))
    directory.path.mkdir(parents=True)
    directory.config.write_text(yaml.safe_dump(settings))
    kept = {group: choice for group, choice in choices.items() if choice and not group.startswith("hydra/")}
    directory.write(Record(directory.path.name, root.name, settings["seed"], kept, settings["steps"], "finished"))
    return directory.path.name


def made_again(command: str) -> str:
    program, *arguments = shlex.split(command)
    assert program == "normlab"
    return run_id(*composed(*arguments))


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("seed=3", "steps=7", "data=digits"),
        ("experiment=deep_cnn", "hydra.mode=RUN", "normalizer=tf_nn", "seed=4"),
        ("experiment=mlp", "hydra.mode=RUN", "optimizer.lr=1e-05", "model.hidden=[100,50]", "observe.val=null"),
        ("experiment=convnet", "hydra.mode=RUN", "optimizer=adam", "+trainer.max_time='00:00:10:00'"),
        ("experiment=mlp", "hydra.mode=RUN", "model.activation=tanh", "evaluate.splits=[test]", "~observe.normalizers"),
    ],
    ids=str,
)
def test_the_command_of_a_run_composes_the_very_same_run(tmp_path: Path, overrides: Sequence[str]) -> None:
    run = leave_run(tmp_path / "e", *overrides)
    assert made_again(commands(load(tmp_path / "e").details)[run]) == run


def test_the_command_of_all_sweeps_over_what_differs_and_sets_what_is_shared(tmp_path: Path) -> None:
    for lr in ("0.01", "0.1"):
        for seed in range(2):
            leave_run(
                tmp_path / "mlp", "experiment=mlp", "hydra.mode=RUN", f"optimizer.lr={lr}", f"seed={seed}", "steps=9"
            )
    told = commands(load(tmp_path / "mlp").details)[""]
    assert told == "normlab experiment=mlp steps=9 normalizer=none optimizer.lr=0.01,0.1 seed=0,1"


def test_a_choice_of_the_users_own_config_directory_is_named_without_its_keys(tmp_path: Path) -> None:
    settings, choices = composed("experiment=mlp", "hydra.mode=RUN")
    mine: dict[str, Any] = {**choices, "normalizer": "mine"}
    directory = RunDirectory(tmp_path / "e" / "runs" / run_id(settings, mine))
    directory.path.mkdir(parents=True)
    directory.config.write_text(yaml.safe_dump(settings))
    kept = {"experiment": "mlp", "model": "mlp", "normalizer": "mine"}
    directory.write(Record(directory.path.name, "e", 0, kept, 1, "finished"))
    told = commands(load(tmp_path / "e").details)[directory.path.name]
    assert told == "normlab --config-dir=DIR experiment=mlp hydra.mode=RUN model=mlp normalizer=mine seed=0"
