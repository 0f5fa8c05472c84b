"""Sweeps that add seeds until their claims are decided."""

import csv
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from .conftest import record_of, run_command

# Kills its process once, when so many runs have finished.
EFFECT = """
import contextlib, os, pathlib, random, signal

from normlab.data.tasks import Metric

class Effect:
    metrics = {"effect": Metric("higher")}

    def __init__(self, shift):
        self.shift = shift

    def measure(self, state):
        deadly = int(os.environ.get("DEADLY", 1000))
        finished = [each for each in pathlib.Path().glob("outputs/*/runs/*/run.json") if "finished" in each.read_text()]
        if len(finished) >= deadly:
            with contextlib.suppress(FileExistsError):
                open(f"died{deadly}", "x").close()
                os.kill(os.getpid(), signal.SIGKILL)
        weight = next(state.network.parameters()).flatten()[0].item()  # of the seed
        return {"effect": self.shift + random.Random(f"{self.shift} {weight}").gauss(0, 1)}
"""

SHIFTS = ("0", "0.01", "1.2", "9")
CLAIMS = [
    f"+claims.{name}={{says: It is better., metric: effect, of: {{evaluate.effect.shift: {shift}}},"
    " over: {evaluate.effect.shift: 0}}"
    for name, shift in zip(("none", "medium", "large"), SHIFTS[1:], strict=True)
]
COMMAND = (
    "--multirun",
    *("data=digits", "steps=1", "batch_size=8", "observe.train_batch=null", "observe.test_batch=null"),
    *("observe.val=null", "observe.normalizers=null", "observe.histograms=null", "evaluate.one_by_one=0"),
    "+evaluate.effect={_target_: effect.Effect, shift: 0}",
    f"evaluate.effect.shift={','.join(SHIFTS)}",
    *CLAIMS,
    *("hydra.sweeper.until=decided", "hydra.sweeper.max_seeds=12"),
)


def count_seeds(place: Path) -> Counter[str]:
    """Return the number of finished runs of each shift."""
    finished = [run for run in place.glob("outputs/single/runs/*") if record_of(run)["status"] == "finished"]
    return Counter((run / "config.yaml").read_text().split("shift: ")[1].split()[0] for run in finished)


@pytest.mark.long
def test_seeds_are_added_to_the_variants_of_undecided_claims_and_a_killed_sweep_ends_the_same(tmp_path: Path) -> None:
    def sweep(place: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        (place / "effect.py").write_text(EFFECT)
        return run_command("run", place, *COMMAND, *arguments, PYTHONPATH=str(place), **environment)

    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = sweep(tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    seeds = count_seeds(tmp_path / "whole")
    assert (seeds["9"], seeds["0"], seeds["0.01"]) == (6, 12, 12)
    assert 6 < seeds["1.2"] < 12
    assert f"{seeds.total()} of the 48 runs of the budget were made, {48 - seeds.total()} spared" in whole.stdout
    claims = (tmp_path / "whole" / "outputs" / "single" / "report" / "claims.csv").read_text()
    verdicts = {row["claim"]: row["verdict"] for row in csv.DictReader(claims.splitlines())}
    assert verdicts == {"none": "undecided", "medium": "supported", "large": "supported"}

    died = sweep(tmp_path / "killed", DEADLY="6")
    assert died.returncode == 1
    assert "1 of 24 runs did not finish" in died.stderr
    assert count_seeds(tmp_path / "killed").total() == 23  # no seeds are added to those of a look that is not complete
    killed = sweep(tmp_path / "killed", "hydra/launcher=basic", DEADLY="26")
    assert killed.returncode == -signal.SIGKILL
    resumed = sweep(tmp_path / "killed")
    assert resumed.returncode == 0, resumed.stderr
    assert (tmp_path / "killed" / "outputs" / "single" / "report" / "claims.csv").read_text() == claims
    names = [
        sorted(run.name for run in (tmp_path / name).glob("outputs/single/runs/*")) for name in ("whole", "killed")
    ]
    assert names[0] == names[1]
