"""Run directories as `normlab` leaves them, made without training anything."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from normlab.runs.directory import RunDirectory
from normlab.runs.identity import run_id
from normlab.runs.record import Record, Status

Curves = Mapping[str, Mapping[int, float]]
"""Name → {step: value}."""


def make_run(
    root: Path,
    normalizer: str = "none",
    seed: int = 0,
    *,
    accuracy: float = 0.5,
    metrics: Mapping[str, float] | None = None,
    curves: Curves | None = None,
    status: Status = "finished",
    choices: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
    precision: str = "32-true",
    report: Mapping[str, Any] | None = None,
    published: Mapping[str, Any] | None = None,
    **record: Any,
) -> Path:
    """Write one run below `root/runs`; return its directory.

    Args:
        root: an output directory, such as `outputs/deep_cnn`.
        normalizer: the choice, and what variants are told apart by.
        seed: of the run.
        accuracy: final validation accuracy; the loss is one minus it.
        metrics: final metrics in place of these two.
        curves: observations; by default two points that end at `accuracy`.
        status: of the record; a run that did not finish has no final metrics.
        choices: further choices of config groups.
        config: further keys of the config.
        precision: of its training passes.
        report: the experiment's `report` settings.
        published: figures by normalizer.
        record: further fields of the record.
    """
    chosen = {"experiment": root.name, "model": "mlp", "normalizer": normalizer, **(choices or {})}
    settings = {
        "seed": seed,
        "steps": 100,
        "batch_size": 64,
        "normalizer": {"_target_": f"made.{normalizer}"},
        "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1},
        "accelerator": {"precision": precision},
        **(config or {}),
        "report": dict(report or {}),
    }
    final = {"val/accuracy": accuracy, "val/loss": 1 - accuracy} if metrics is None else dict(metrics)
    directory = RunDirectory(root / "runs" / run_id(settings, chosen))
    directory.path.mkdir(parents=True)
    directory.config.write_text(yaml.safe_dump(settings, sort_keys=False))
    if curves is None:
        curves = {"val/accuracy": {50: accuracy / 2, 100: accuracy}, "val/loss": {50: 1.0, 100: 1 - accuracy}}
    write_curves(directory, curves)
    directory.log.write_text(f"INFO made {directory.path.name}\n")
    environment = {
        "device": "cpu",
        "precision": precision,
        "threads": 1,
        "torch": "2",
        "python": "3",
        "git_commit": "0" * 40,
    }
    made = {
        "run_id": directory.path.name,
        "experiment": root.name,
        "seed": seed,
        "choices": chosen,
        "steps": settings["steps"],
        "status": status,
        "metrics": final if status == "finished" else {},
        "metrics_info": {
            name: {"better": "lower" if name.endswith("loss") else "higher"} for name in {**final, **curves}
        },
        "seconds": 2.0,
        "steps_per_second": 50.0,
        "environment": environment,
        "published": dict(published or {}),
        **record,
    }
    directory.record.write_text(json.dumps(asdict(Record(**made))))
    return directory.path


def write_curves(directory: RunDirectory, curves: Curves) -> None:
    rows = [(step, name, value) for name, points in curves.items() for step, value in points.items()]
    lines = "".join(f"{step},{name},{value!r}\n" for step, name, value in sorted(rows, key=lambda row: row[0]))
    directory.metrics.write_text(f"step,name,value\n{lines}")


def make_ablation(root: Path, seeds: int = 5, **settings: Any) -> None:
    """Write runs of `none` near 0.1 and of `batch` and `tf_nn` near 0.95, with curves that rise and layers observed."""
    random = np.random.default_rng(0)
    for normalizer, end in (("none", 0.1), ("batch", 0.94), ("tf_nn", 0.96)):
        for seed in range(seeds):
            accuracy = float(end + random.normal(0, 0.01))
            path = make_run(root, normalizer, seed, accuracy=accuracy, curves=_rising(accuracy, normalizer), **settings)
            cloud = (
                random.normal(size=(200, 2)).astype("float32") @ np.array([[0.15, 0.1], [0.0, 0.06]], "float32") + 0.5
            )
            images = random.integers(0, 256, (4, 1, 8, 8)).astype("uint8")
            np.savez_compressed(
                path / "inputs.npz",
                cloud=cloud,
                cloud_after=(cloud - cloud.mean(axis=0)) / cloud.std(axis=0),
                images=images,
                images_after=images.astype("float32") / 255,
            )


def _rising(end: float, normalizer: str) -> Curves:
    steps = range(10, 101, 10)
    curves: dict[str, dict[int, float]] = {
        "val/accuracy": {step: end * (1 - 0.5 ** (step / 10)) for step in steps},
        "val/loss": {step: 1 - end * (1 - 0.5 ** (step / 10)) for step in steps},
        "train_batch/loss": {step: 1.1 - end * (1 - 0.4 ** (step / 10)) for step in steps},
    }
    for block, layer in enumerate(("dense.0", "dense.1")):
        name = f"normalizer/{layer}"
        for percentile, offset in (("p15", -1.0), ("p50", 0.0), ("p85", 1.0)):
            curves[f"{name}/input_{percentile}"] = {step: offset * (1 + step / 100) + block for step in steps}
        if normalizer != "none":
            curves[f"{name}/mean_offset"] = {step: 0.9**step for step in steps}
            curves[f"{name}/variance_ratio"] = {step: 1 + 0.95**step for step in steps}
    return curves
