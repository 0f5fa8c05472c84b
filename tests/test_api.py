"""The package from Python: compose a run, train it, load the frames and the trained network."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

import normlab
from normlab.errors import ConfigurationError
from normlab.measurements.scores import iterate_split, score
from normlab.runs.run import Run
from normlab.training.build import build


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    place = tmp_path_factory.mktemp("api")
    run = normlab.compose("data=digits", "normalizer=batch", "steps=20", f"output_root={place}")
    assert normlab.train(run).status == "finished"
    return run


def test_the_frames_hold_the_runs_and_their_curves(trained: Run) -> None:
    results = normlab.load(trained.experiment_directory)
    assert results.runs.loc[trained.id, "seed"] == 0
    assert results.runs.loc[trained.id, "status"] == "finished"
    curve = results.curves[results.curves["name"] == "val/accuracy"]
    assert curve["step"].tolist() == [20]


def test_the_network_of_a_finished_run_scores_as_its_record_says(trained: Run) -> None:
    network = normlab.load(trained.experiment_directory).network(trained.id)
    assert not network.training
    parts = build(trained.settings)
    found = score(
        network,
        parts.module.objective,
        parts.data.splits.task,
        iterate_split(parts.data.splits.test, parts.data.preprocess),
    )
    record = trained.state().record
    assert record is not None
    assert found["accuracy"] == record.metrics["test/accuracy"]
    assert found["loss"] == record.metrics["test/loss"]
    assert not torch.equal(
        network.state_dict()["hidden.0.linear_map.weight"],
        parts.module.network.state_dict()["hidden.0.linear_map.weight"],
    )


def test_a_run_without_a_result_or_checkpoint_gives_no_network(trained: Run, tmp_path: Path) -> None:
    run = normlab.compose("data=digits", "steps=3", f"output_root={tmp_path}")
    normlab.train(run)
    results = normlab.load(tmp_path)
    with pytest.raises(KeyError):
        results.network("no-such-run")
    for checkpoint in run.directory.checkpoint.parent.iterdir():
        checkpoint.unlink()
    with pytest.raises(ConfigurationError, match="no sound checkpoint: train the run again with normlab-rerun"):
        results.network(run.id)
    run.directory.record.unlink()
    with pytest.raises(ConfigurationError, match="holds no finished run: it is missing"):
        results.network(run.id)


def test_a_run_knows_its_state_directory_and_id(trained: Run) -> None:
    assert trained.state().status == "finished"
    assert not trained.is_missing
    assert trained.directory.path == trained.experiment_directory / "runs" / trained.id
    assert normlab.compose("data=digits", "output_root=/elsewhere").state().status == "missing"


def test_importing_the_package_and_composing_a_run_needs_no_torch() -> None:
    program = (
        "import sys, normlab; heavy = {'torch', 'pandas', 'hydra'}; print(heavy & set(sys.modules));"
        "normlab.compose('data=digits'); print({'torch', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\nset()\n"


def test_composing_a_run_leaves_an_application_with_hydra_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text("defaults: [schema]\nname: mine\n")
    program = """
import hydra, normlab
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig

ConfigStore.instance().store(name="schema", node={"name": "", "x": 1})

@hydra.main(version_base="1.3", config_path=".", config_name="app")
def main(config):
    run = normlab.compose("data=digits", "seed=3")
    assert run.settings["seed"] == 3
    assert HydraConfig.get().job.name == "app"
    assert (config.name, config.x) == ("mine", 1), config

main()
"""
    (tmp_path / "app.py").write_text(program)
    command = [sys.executable, "app.py", "-m", "x=1,1", "hydra.sweep.dir=swept"]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_a_run_trains_in_a_thread(tmp_path: Path) -> None:
    run = normlab.compose("data=digits", "steps=5", f"output_root={tmp_path}")
    thread = threading.Thread(target=normlab.train, args=(run,))
    thread.start()
    thread.join()
    assert run.state().status == "finished"


def test_runs_are_found_through_links_and_once(trained: Run, tmp_path: Path) -> None:
    (tmp_path / "chosen").mkdir()
    (tmp_path / "chosen" / "mine").symlink_to(trained.directory.path.absolute())
    (tmp_path / "chosen" / "again").symlink_to(trained.directory.path.absolute())
    (tmp_path / "chosen" / "loop").symlink_to(tmp_path)
    assert list(normlab.load(tmp_path / "chosen").runs.index) == [trained.id]
