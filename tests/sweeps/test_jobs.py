"""How many runs go at once, and which GPUs each worker sees."""

import sys

import pytest
import torch

from normlab.sweeps.machine import assign_gpus, count_concurrent_runs


@pytest.mark.parametrize(("processes", "expected"), [(1, 4), (2, 2), (3, 1), (8, 1)])
def test_runs_of_several_processes_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, processes: int, expected: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
    assert count_concurrent_runs(processes) == expected


@pytest.mark.parametrize(
    ("visible", "processes", "expected"),
    [
        (None, 1, ["0", "1", "2"]),
        ("4,6", 1, ["4", "6"]),
        (None, 2, ["0,1"]),
        ("GPU-a,GPU-b,GPU-c,GPU-d", 2, ["GPU-a,GPU-b", "GPU-c,GPU-d"]),
    ],
)
def test_each_worker_sees_gpus_of_its_own(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, processes: int, expected: list[str]
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda package: "2.13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert assign_gpus("auto", processes) == expected
    assert assign_gpus("cpu", processes) == []


def test_a_build_of_torch_for_cpus_is_not_imported_to_find_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda package: "2.13.0+cpu")
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it raises
    assert assign_gpus("auto", 1) == []


def test_without_a_gpu_workers_have_none() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert assign_gpus("gpu", 1) == []
