"""The harness trains exactly as a loop written by hand does, and observes what that loop would."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from normlab.config.compose import compose
from normlab.measurements.scores import iterate_split, score
from normlab.runs.directory import RunDirectory
from normlab.training.build import build
from normlab.training.run import train

from ..integration.conftest import curves_of


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=mlp", "normalizer=batch_norm_1d", "optimizer=sgd"),
        ("model=convnet", "normalizer=slim", "optimizer=momentum", "preprocessing=standardize"),
        ("model=deep_cnn", "normalizer=tf_nn", "optimizer=adam", "objective=sigmoid"),
        ("model=mlp", "normalizer=none", "optimizer=adamw"),
        ("model=mlp", "normalizer=batch", "optimizer=rmsprop", "preprocessing=zca"),
    ],
    ids=" ".join,
)
def test_curves_and_weights_equal_those_of_a_loop_written_by_hand(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    run = compose(
        "data=digits",
        *overrides,
        "steps=24",
        "observe.val.first=1",
        "observe.val.every=10",
        "observe.train_batch.first=5",
        "observe.train_batch.every=5",
        "observe.test_batch.first=12",
        "observe.test_batch.every=12",
        f"output_root={tmp_path}",
    )
    record = train(run)
    directory = RunDirectory(next(tmp_path.glob("single/runs/*")))

    parts = build(run.settings)
    network, objective, task = parts.module.network.train(), parts.module.objective, parts.data.splits.task
    optimizer = parts.module.make_optimizer(network.parameters())
    expected: dict[str, dict[int, float]] = {"val/loss": {}, "train_batch/loss": {}, "test_batch/loss": {}}
    for updates, (images, labels) in enumerate(parts.module.batches, start=1):
        optimizer.zero_grad()
        objective(network(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if updates in (1, 11, 21):
            expected["val/loss"][updates] = score(
                network, objective, task, iterate_split(parts.data.splits.val, parts.data.preprocess)
            )["loss"]
        if updates % 5 == 0:
            expected["train_batch/loss"][updates] = score(network, objective, task, [(images, labels)])["loss"]
        if updates % 12 == 0:
            drawn = parts.test_batches.batch(updates // 12 - 1)
            expected["test_batch/loss"][updates] = score(network, objective, task, [drawn])["loss"]
    expected["val/loss"][24] = score(
        network, objective, task, iterate_split(parts.data.splits.val, parts.data.preprocess)
    )["loss"]

    curves = curves_of(directory.path)
    assert {name: curves[name] for name in expected} == expected
    assert record.metrics["val/loss"] == expected["val/loss"][24]
    kept = torch.load(directory.checkpoint, weights_only=True)["network"]
    assert all(torch.equal(kept[name], value) for name, value in network.state_dict().items())


def test_a_compiled_network_trains_to_the_same_end(tmp_path: Path) -> None:
    ends = []
    for compiled in ("false", "true"):
        run = compose(
            "data=digits", "normalizer=batch", "steps=8", f"accelerator.compile={compiled}", f"output_root={tmp_path}"
        )
        ends.append(train(run).metrics["val/loss"])
    assert ends[0] == pytest.approx(ends[1], rel=1e-4)


def test_a_run_killed_between_its_last_checkpoint_and_its_record_ends_the_same(tmp_path: Path) -> None:
    run = compose("data=digits", "steps=6", "observe.val.first=3", f"output_root={tmp_path}")
    train(run)
    directory = RunDirectory(next(tmp_path.glob("single/runs/*")))
    whole, record = directory.metrics.read_bytes(), directory.read()
    assert record is not None
    directory.write(replace(record, status="running", metrics={}))
    directory.metrics.write_bytes(whole + b"7,val/lo")
    assert train(run).metrics == record.metrics
    assert directory.metrics.read_bytes() == whole
