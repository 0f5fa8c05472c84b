"""What TensorBoard itself makes of a sweep, asked over its HTTP API on the loopback interface."""

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import WITHOUT_REPORT, run_command, wait_for


def ask(port: int, route: str, body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/data/{route}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def tensorboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Sweep two variants that share few hyperparameters; yield the port of a TensorBoard that has loaded them."""
    place = tmp_path_factory.mktemp("tensorboard")
    sweep = ("experiment=demo", "normalizer=none,tf_layers", "seed=0,1", "steps=6", "observe.val.every=2")
    assert run_command("run", place, WITHOUT_REPORT, *sweep).returncode == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", "--logdir", "outputs/demo", "--port", str(port)],
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: has_loaded(port))
        yield port
    finally:
        server.terminate()
        server.wait(timeout=20)


def has_loaded(port: int) -> bool:
    try:
        groups = ask(port, "plugin/hparams/session_groups", session_request())["sessionGroups"]
        return len(groups) == 4 and len(ask(port, "plugin/scalars/tags")) == 4
    except (urllib.error.URLError, ConnectionError, KeyError):
        return False


def session_request() -> dict[str, Any]:
    statuses = ["STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING", "STATUS_UNKNOWN"]
    return {"experimentName": "", "allowedStatuses": statuses, "colParams": [], "startIndex": 0, "sliceSize": 100}


@pytest.mark.long
def test_tensorboard_shows_every_hyperparameter_and_final_metric_of_all_runs(tensorboard: int) -> None:
    experiment = ask(tensorboard, "plugin/hparams/experiment", {"experimentName": ""})
    hyperparameters = {item["name"] for item in experiment["hparamInfos"]}
    assert {"seed", "optimizer.lr", "normalizer", "normalizer.momentum", "model.depth"} <= hyperparameters
    metrics = {item["name"]["tag"] for item in experiment["metricInfos"]}
    assert {"val/accuracy", "val/loss", "test/accuracy", "test/loss", "test/one_by_one_accuracy"} <= metrics

    groups = ask(tensorboard, "plugin/hparams/session_groups", session_request())["sessionGroups"]
    momenta = [group["hparams"].get("normalizer.momentum") for group in groups]
    assert {group["hparams"]["normalizer"] for group in groups} == {"none", "tf_layers"}
    assert sorted(momenta, key=str) == [0.01, 0.01, None, None]
    for group in groups:
        assert {value["name"]["tag"] for value in group["metricValues"]} >= {"val/accuracy", "test/accuracy"}


@pytest.mark.long
def test_tensorboard_has_the_same_curves_for_all_runs_and_histograms_of_every_normalizer(tensorboard: int) -> None:
    tags = ask(tensorboard, "plugin/scalars/tags")
    assert len({tuple(sorted(run)) for run in tags.values()}) == 1
    assert all(name.startswith("runs/deep_cnn-") for name in tags)
    histograms = ask(tensorboard, "plugin/histograms/tags")
    normalized = next(tags for run, tags in histograms.items() if "tf_layers" in run)
    for part in ("running_mean", "running_var", "weight", "bias"):
        assert f"variables/convolutions.0/{part}" in normalized
        assert f"variables/dense/{part}" in normalized
