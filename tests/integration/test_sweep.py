"""Sweeps from the command line: the table, a user's own parts beside ours, failures that cost their own run only."""

import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from normlab import __version__

from .conftest import Command, record_of

Sweep = Callable[[str], subprocess.CompletedProcess[str]]

USERS_PACKAGE = '''
import torch
from torch import nn


class RmsNorm(nn.Module):
    """Knows nothing of normlab."""

    def __init__(self, num_features, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_features))

    def forward(self, x):
        weight = self.weight if x.ndim == 2 else self.weight[:, None, None]
        return x / (x.square().mean(1, keepdim=True) + self.eps).sqrt() * weight


class Breaks(nn.Identity):
    updates = 0

    def forward(self, x):
        self.updates += self.training
        if self.updates == 2:
            raise RuntimeError("this layer breaks")
        return x


class Narrows(nn.Identity):
    def forward(self, x):
        return x[:, 1:]


class Linear(nn.Module):
    def __init__(self, input_shape, num_classes, normalizer, gain=1.0):
        super().__init__()
        self.flatten = nn.Flatten()
        self.normalizer = normalizer(input_shape[0] * input_shape[1] * input_shape[2])
        self.output = nn.Linear(input_shape[0] * input_shape[1] * input_shape[2], num_classes)
        self.gain = gain

    def forward(self, x):
        return self.gain * self.output(self.normalizer(self.flatten(x)))


class Stripes:
    """Two classes of 6x6 images: bright left half or bright right half."""

    def __init__(self, examples=200):
        labels = torch.arange(examples) % 2
        images = torch.zeros(examples, 1, 6, 6, dtype=torch.uint8)
        images[labels == 0, :, :, :3] = 200
        images[labels == 1, :, :, 3:] = 200
        self.train = self.val = self.test = (images, labels)
'''


@pytest.fixture
def users_project(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(USERS_PACKAGE)
    for group, name, content in (
        ("normalizer", "my_rms", "_target_: mine.RmsNorm\neps: 1.0e-6\n"),
        ("normalizer", "breaks", "_target_: mine.Breaks\n"),
        ("normalizer", "narrows", "_target_: mine.Narrows\n"),
        ("normalizer", "my_group", "_target_: torch.nn.GroupNorm\nnum_groups: 2\n"),
        ("model", "linear", "_target_: mine.Linear\ngain: 1.0\n"),
        ("data", "stripes", "_target_: mine.Stripes\nexamples: 200\n"),
    ):
        folder = tmp_path / "myconf" / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.yaml").write_text(content)
    return tmp_path


@pytest.fixture
def sweep(normlab: Command, users_project: Path) -> Sweep:
    """Return a function that sweeps over normalizers in the user's project, for three steps each."""
    command = ("--config-dir=myconf", "experiment=demo", "seed=0", "steps=3")
    return lambda normalizers: normlab(*command, f"normalizer={normalizers}", PYTHONPATH=str(users_project))


def test_a_users_own_normalizer_and_one_of_torch_run_in_a_sweep_beside_ours(
    sweep: Sweep, runs: Callable[[str], list[Path]]
) -> None:
    finished = sweep("my_group,tf_layers,my_rms")
    assert finished.returncode == 0, finished.stderr
    assert [record_of(run)["choices"]["normalizer"] for run in runs("demo")] == ["my_group", "my_rms", "tf_layers"]
    assert {record_of(run)["status"] for run in runs("demo")} == {"finished"}


def test_a_normalizer_that_keeps_no_contract_is_named_before_any_run_is_written(
    sweep: Sweep, users_project: Path, runs: Callable[[str], list[Path]]
) -> None:
    ended = sweep("none,narrows")
    assert ended.returncode == 1
    assert f"Narrows ({users_project / 'mine.py'}) must return the shape of its inputs" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    assert runs("demo") == []


@pytest.mark.long
def test_a_run_of_other_code_stops_the_command_unless_it_is_forced_or_reused(
    normlab: Command, users_project: Path, runs: Callable[[str], list[Path]]
) -> None:
    def sweep(*overrides: str) -> subprocess.CompletedProcess[str]:
        command = ("--config-dir=myconf", "-m", "data=digits", "normalizer=my_rms", "steps=3", *overrides)
        return normlab(*command, PYTHONPATH=str(users_project), PYTHONDONTWRITEBYTECODE="1")

    assert sweep().returncode == 0
    (run,) = runs("single")
    first = (run / "metrics.csv").read_bytes()
    code = (users_project / "mine.py").read_text()
    (users_project / "mine.py").write_text(code.replace("* weight", "* weight * 0.0"))
    stopped = sweep()
    assert stopped.returncode == 1
    assert f"{run.name} is finished, but its code has changed since: mine. force=true runs it again" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert sweep("reuse=true").returncode == 0
    assert (run / "metrics.csv").read_bytes() == first
    assert sweep("force=true").returncode == 0
    assert (run / "metrics.csv").read_bytes() != first
    assert (runs("single")[1] / "metrics.csv").read_bytes() == first


def test_a_users_own_model_and_data_set_run(
    normlab: Command, users_project: Path, runs: Callable[[str], list[Path]]
) -> None:
    finished = normlab("--config-dir=myconf", "model=linear", "data=stripes", "steps=20", PYTHONPATH=str(users_project))
    assert finished.returncode == 0, finished.stderr
    assert record_of(*runs("single"))["metrics"]["test/accuracy"] == 1.0


def test_a_run_that_raises_is_recorded_and_the_others_go_on(sweep: Sweep, runs: Callable[[str], list[Path]]) -> None:
    finished = sweep("breaks,none")
    assert finished.returncode == 1
    broken, whole = runs("demo")
    assert record_of(broken)["status"] == "failed"
    assert "RuntimeError: this layer breaks" in record_of(broken)["error"]
    assert record_of(whole)["status"] == "finished"
    assert "1 of 2 runs did not finish; run the same command again to resume them:" in finished.stderr
    assert f"  outputs/demo/runs/{broken.name}: failed, RuntimeError: this layer breaks" in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.long
def test_sweep_parameters_on_the_command_line_replace_those_of_the_experiment(
    normlab: Command, runs: Callable[[str], list[Path]]
) -> None:
    finished = normlab("experiment=demo", "seed=7,8", "normalizer=none", "optimizer.lr=0.001,0.002", "steps=2")
    assert finished.returncode == 0, finished.stderr
    asked_for = {(record_of(run)["choices"]["normalizer"], record_of(run)["seed"]) for run in runs("demo")}
    assert asked_for == {("none", 7), ("none", 8)}
    assert len(runs("demo")) == 4


@pytest.mark.long
def test_a_terminal_that_knows_ascii_alone_gets_replacements(normlab: Command, tmp_path: Path) -> None:
    finished = normlab("-m", "data=digits", "steps=2", "normalizer=none,batch", report=True, PYTHONIOENCODING="ascii")
    assert finished.returncode == 0, finished.stderr
    assert "mean ? standard deviation over seeds" in finished.stdout
    assert (tmp_path / "outputs" / "single" / "report" / "index.html").exists()


def test_the_log_of_a_run_is_kept_if_the_terminal_gets_none(
    normlab: Command, runs: Callable[[str], list[Path]]
) -> None:
    finished = normlab("data=digits", "steps=2", "hydra/job_logging=disabled")
    assert (finished.returncode, finished.stdout) == (0, "")
    assert "2 steps on cpu" in (runs("single")[0] / "run.log").read_text()


def test_the_version_is_that_of_normlab(normlab: Command) -> None:
    assert normlab("--version").stdout == f"normlab {__version__}\n"


def test_the_wheel_brings_its_configs_and_runs_from_any_directory(normlab: Command, tmp_path: Path) -> None:
    from hatchling.builders.wheel import WheelBuilder

    project = Path(__file__).parents[2]
    (wheel,) = WheelBuilder(str(project)).build(directory=str(tmp_path / "dist"), versions=["standard"])
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    anew = {"PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"}
    finished = normlab("--info", "searchpath", **anew)
    assert f"file://{tmp_path}/site/normlab/conf" in finished.stdout
    assert normlab("experiment=demo", "--cfg", "job", **anew).returncode == 0


GLOBBED = """
# @package _global_
defaults:
  - override /data: digits
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      normalizer: glob(tf*)
steps: 2
claims:
  same: {says: Both end alike., of: tf_nn, like: tf_layers, within: 0.1}
"""


@pytest.mark.long
def test_an_experiment_with_claims_may_sweep_over_the_choices_that_match_a_pattern(
    normlab: Command, tmp_path: Path, runs: Callable[[str], list[Path]]
) -> None:
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "globbed.yaml").write_text(GLOBBED)
    finished = normlab("--config-dir=mine", "experiment=globbed")
    assert finished.returncode == 0, finished.stderr
    assert sorted(record_of(run)["choices"]["normalizer"] for run in runs("globbed")) == ["tf_layers", "tf_nn"]
    refused = normlab("--config-dir=mine", "experiment=globbed", "claims.same.like=none")
    assert refused.returncode == 1
    assert "claims.same.like names normalizer=none" in refused.stderr
