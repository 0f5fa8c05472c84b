"""A sweep over a Ray cluster of two nodes that is there already, as `ray start` makes it."""

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import Command, record_of

pytestmark = pytest.mark.long

PORT = 26900
RAY = str(Path(sys.executable).with_name("ray"))


@pytest.fixture(scope="module")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("ray")
    # Ray lets in nodes and drivers that know a token, which all of them find by the environment.
    token = tmp_path_factory.mktemp("ray") / "token"
    token.write_text(secrets.token_hex(32))

    def ray(*arguments: str) -> None:
        told = subprocess.run([RAY, *arguments], capture_output=True, text=True, check=False, timeout=120)
        assert told.returncode == 0, told.stdout + told.stderr

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_AUTH_MODE", "token")
        environment.setenv("RAY_AUTH_TOKEN_PATH", str(token))
        ray("start", "--head", f"--port={PORT}", "--num-cpus=1", "--include-dashboard=false", "--disable-usage-stats")
        try:
            ray("start", f"--address=127.0.0.1:{PORT}", "--num-cpus=1", "--disable-usage-stats")
            yield f"127.0.0.1:{PORT}"
        finally:
            ray("stop", "--force")


def test_a_sweep_over_two_ray_nodes_gives_the_bytes_of_the_basic_launcher(
    normlab: Command, runs: Callable[[str], list[Path]], ray_cluster: str
) -> None:
    sweep = ("experiment=demo", "normalizer=none,tf_nn", "seed=0", "steps=20", "observe.train_batch.every=5")
    finished = normlab(*sweep, "hydra/launcher=ray", f"hydra.launcher.address={ray_cluster}")
    assert finished.returncode == 0, finished.stderr
    assert "2 done, 0 running, 0 failed, 0 skipped of 2 runs" in finished.stdout
    over_ray = {run.name: (run / "metrics.csv").read_bytes() for run in runs("demo")}
    assert normlab(*sweep, "force=true", "hydra/launcher=basic").returncode == 0
    assert len(over_ray) == 2
    for name, content in over_ray.items():
        run = next(run for run in runs("demo") if run.name == name)
        assert (run / "metrics.csv").read_bytes() == content


def test_a_task_whose_process_dies_costs_its_own_run_and_is_made_up_for(
    normlab: Command, deadly_sweep: tuple[str, ...], runs: Callable[[str], list[Path]], ray_cluster: str
) -> None:
    launcher = ("hydra/launcher=ray", f"hydra.launcher.address={ray_cluster}")
    finished = normlab(*deadly_sweep, *launcher)
    assert finished.returncode == 1
    assert "1 of 2 runs did not finish" in finished.stderr
    assert "its process died" in finished.stderr
    again = normlab(*deadly_sweep, *launcher)
    assert again.returncode == 0, again.stderr
    assert {record_of(run)["status"] for run in runs("demo")} == {"finished"}


def test_a_cluster_that_is_not_there_is_told(normlab: Command) -> None:
    finished = normlab("experiment=demo", "steps=2", "hydra/launcher=ray", "hydra.launcher.address=127.0.0.1:26999")
    assert finished.returncode == 1
    assert "hydra/launcher=ray finds no cluster at 127.0.0.1:26999" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_run_that_needs_more_than_this_machine_has_is_refused(normlab: Command) -> None:
    finished = normlab("experiment=demo", "steps=2", "hydra/launcher=ray", "hydra.launcher.num_cpus=4096")
    assert finished.returncode == 1
    assert "no node of the Ray cluster has the 4096 cores and 0 GPUs of a run" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_cluster_that_a_variable_names_and_that_is_gone_is_told(normlab: Command) -> None:
    finished = normlab("experiment=demo", "steps=2", "hydra/launcher=ray", RAY_ADDRESS="127.0.0.1:26999")
    assert finished.returncode == 1
    assert "hydra/launcher=ray finds no cluster at 127.0.0.1:26999" in finished.stderr
