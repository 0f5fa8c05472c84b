"""A search from the command line: its trials are ordinary runs, and the same command makes only what is missing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Command, record_of


@pytest.mark.long
def test_a_search_goes_on_where_it_was_and_names_the_best_trial(
    normlab: Command, runs: Callable[[str], list[Path]]
) -> None:
    command = ("experiment=demo", "hydra/sweeper=optuna", "seed=0", "steps=2", "model.depth=2")
    space = ("normalizer=none,tf_nn", "optimizer.lr=tag(log,interval(1e-4,1e-1))")
    first = normlab(*command, *space, "hydra.sweeper.n_trials=2")
    assert first.returncode == 0, first.stderr
    assert "best of 2 trials: normalizer=" in first.stdout
    assert {record_of(run)["status"] for run in runs("demo")} == {"finished"}
    before = {run: (run / "run.json").stat().st_mtime_ns for run in runs("demo")}
    again = normlab(*command, *space, "hydra.sweeper.n_trials=3")
    assert again.returncode == 0, again.stderr
    assert "Launching 1 runs" in again.stdout
    assert len(runs("demo")) == 3
    for run, time in before.items():
        assert (run / "run.json").stat().st_mtime_ns == time
    best = max(record_of(run)["metrics"]["val/accuracy"] for run in runs("demo"))
    assert f"val/accuracy {best:.4f}\n" in again.stdout
