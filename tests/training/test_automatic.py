"""Training batch by batch, for callbacks and arguments of the Trainer, leaves the bytes of chunks of steps."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given
from hypothesis import strategies as st

import normlab
from normlab.errors import ConfigurationError
from normlab.runs.run import Run
from normlab.training import checkpoints
from normlab.training.automatic import AutomaticModule, plan_epochs
from normlab.training.run import RunInterrupted

from ..integration.conftest import curves_of

INERT = "+callbacks.inert._target_=pytorch_lightning.Callback"
LIGHTNING = "pytorch_lightning.callbacks"
OBSERVE = ("observe.val.first=4", "observe.val.every=4", "observe.train_batch.first=3", "observe.train_batch.every=3")


def compose(place: Path, *overrides: str) -> Run:
    return normlab.compose(
        "data=digits",
        "batch_size=256",
        "steps=23",
        *OBSERVE,
        "evaluate.one_by_one=0",
        f"output_root={place}",
        *overrides,
    )


def network_of(run: Run) -> dict[str, torch.Tensor]:
    network: dict[str, torch.Tensor] = torch.load(run.directory.checkpoint, weights_only=True)["network"]
    return network


@pytest.mark.parametrize(
    "overrides",
    [
        ("normalizer=tf_layers",),
        ("normalizer=tf_nn", "optimizer=adam"),
        ("normalizer=batch", "augmentation=crop_flip", "sampler=by_class", "sampler.classes=4"),
        ("model=convnet", "normalizer=slim", "optimizer=momentum"),
        ("normalizer=batch", "accelerator.precision=bf16-mixed", "optimizer=adam"),
        ("normalizer=batch", "accelerator.precision=16-mixed"),
        ("normalizer=none", "optimizer.lr=1e9"),
        (f"normalizer._target_={__name__}.Drops",),
    ],
    ids=" ".join,
)
def test_it_ends_with_the_bytes_of_chunks_if_no_callback_acts(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    chunks, batches = compose(tmp_path, *overrides), compose(tmp_path, *overrides, INERT)
    records = [normlab.train(run) for run in (chunks, batches)]
    assert [record.training for record in records] == ["chunks", "automatic optimization"]
    assert records[0].status == records[1].status
    assert records[0].diverged_at == records[1].diverged_at
    assert records[0].metrics == records[1].metrics
    assert chunks.directory.metrics.read_bytes() == batches.directory.metrics.read_bytes()
    if records[0].status == "finished":
        kept, expected = network_of(batches), network_of(chunks)
        assert all(torch.equal(kept[name], expected[name]) for name in expected)


class Drops(torch.nn.Dropout):
    """A layer that draws from the global generators."""

    def __init__(self, num_features: int, **settings: Any) -> None:
        super().__init__(0.5)


@given(steps=st.integers(1, 300), length=st.integers(1, 40), factors=st.lists(st.integers(1, 50), min_size=1))
def test_the_epochs_of_a_plan_make_all_steps_and_no_batch_more(steps: int, length: int, factors: list[int]) -> None:
    def factor(epoch: int) -> int:
        return factors[min(epoch, len(factors) - 1)]

    plan = plan_epochs(steps, length, factor)
    made = epoch = batch = waiting = 0
    while made < steps:
        batch += 1
        waiting += 1
        ends_epoch = batch % length == 0
        if waiting == factor(epoch) or ends_epoch:
            made, waiting = made + 1, 0
        if ends_epoch:
            epoch += 1
    assert plan == (-(-batch // length), batch)


class StopsAtTen(pl.Callback):
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        trainer.should_stop = trainer.global_step >= 10

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert trainer.global_step in (4, 8)  # none is due as it stops


def test_a_run_that_a_callback_stops_has_finished_and_is_not_trained_on(tmp_path: Path) -> None:
    run = compose(tmp_path, f"+callbacks.stop._target_={__name__}.StopsAtTen")
    record = normlab.train(run)
    assert (record.status, record.stopped_at) == ("finished", 10)
    assert "val/accuracy" in record.metrics
    assert normlab.train(run) == record


class Records(pl.Callback):
    """Keeps what a callback sees."""

    seen: list[Any]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        type(self).seen = [("limits", trainer.max_steps, trainer.max_epochs)]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert outputs["loss"].isfinite()
        assert len(batch[0]) == len(batch[1]) == 256
        self.seen.append((trainer.global_step, trainer.current_epoch, batch_idx))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert {"val/loss", "val/accuracy"} <= trainer.callback_metrics.keys()
        self.seen.append("validation")


@pytest.mark.filterwarnings("error")
def test_callbacks_see_steps_epochs_batches_and_validations_as_lightning_documents_them(tmp_path: Path) -> None:
    normlab.train(compose(tmp_path, f"+callbacks.records._target_={__name__}.Records"))
    expected: list[Any] = [("limits", 23, 5)]  # 1,247 digits are 5 batches
    for step in range(1, 24):
        expected.append((step, (step - 1) // 5, (step - 1) % 5))
        expected += ["validation"] * (step % 4 == 0)
    assert Records.seen == expected


RESUMED = {
    "EMA": (f"+callbacks.x._target_={LIGHTNING}.EMAWeightAveraging", "+callbacks.x.decay=0.9"),
    "SWA": (
        f"+callbacks.x._target_={LIGHTNING}.StochasticWeightAveraging",
        "+callbacks.x.swa_lrs=0.05",
        "+callbacks.x.swa_epoch_start=2",
    ),
    "early stopping": (
        f"+callbacks.x._target_={LIGHTNING}.EarlyStopping",
        "+callbacks.x.monitor=val/loss",
        "+callbacks.x.patience=1",
        "optimizer.lr=3",
    ),
    "accumulation": ("+trainer.accumulate_grad_batches=3",),
    "an accumulation schedule": (
        f"+callbacks.x._target_={LIGHTNING}.GradientAccumulationScheduler",
        "+callbacks.x.scheduling={0:3,1:2}",
    ),
    "half precision, clipped": (
        "accelerator.precision=16-mixed",
        "+trainer.gradient_clip_val=0.1",
        "optimizer.fused=false",
    ),
    "noise": (f"normalizer._target_={__name__}.Drops", INERT),
}
ENDS = [(1, "signal"), (5, "error"), (8, "signal"), (10, "signal"), (22, "error"), (25, "error")]
"""Batches in which a run is ended, and how: within epochs of 5, at their ends, in validations, in the epoch that SWA
adds."""
ALL_ENDS = [(batch, how) for batch in range(1, 29) for how in ("signal", "error")]


@pytest.mark.parametrize("ends", [ENDS, pytest.param(ALL_ENDS, marks=pytest.mark.killed)], ids=["some", "all"])
@pytest.mark.parametrize("feature", RESUMED)
def test_a_run_ended_in_any_batch_resumes_to_the_same_bytes(
    tmp_path: Path, feature: str, ends: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SHORTEST_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE_OF_TIME", 1e9)
    overrides = ("normalizer=tf_layers", "optimizer=adam", *RESUMED[feature])
    whole = compose(tmp_path / "whole", *overrides)
    expected = normlab.train(whole)
    assert expected.status == "finished"
    for batch, how in ends:
        run = compose(tmp_path / f"{batch} {how}", *overrides)
        with monkeypatch.context() as patched:
            patched.setattr(AutomaticModule, "training_step", end_at(batch, how))
            if not is_ended(run):
                continue  # it makes fewer batches
        assert normlab.train(run).metrics == expected.metrics
        assert run.directory.metrics.read_bytes() == whole.directory.metrics.read_bytes(), (batch, how)
        kept = network_of(run)
        assert all(torch.equal(kept[name], value) for name, value in network_of(whole).items()), (batch, how)


def end_at(number: int, how: str) -> Callable[..., torch.Tensor]:
    """Return a training step that sends a signal or raises in a batch, counted from 1."""
    train, batches = AutomaticModule.training_step, iter(range(1, 1000))

    def step(self: AutomaticModule, *args: Any) -> torch.Tensor:
        if next(batches) == number:
            if how == "error":
                raise RuntimeError("the machine fails")
            os.kill(os.getpid(), signal.SIGTERM)
        return train(self, *args)

    return step


def is_ended(run: Run) -> bool:
    try:
        normlab.train(run)
    except (RunInterrupted, normlab.training.run.RunFailedError):
        return True
    return False


@pytest.mark.parametrize("key", ["cuda_graph=true", "processes=2"])
@pytest.mark.parametrize("cause", [INERT, "+trainer.max_steps=5"])
def test_what_cannot_train_batch_by_batch_is_refused(tmp_path: Path, key: str, cause: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"makes Lightning train batch by batch, .* accelerator\.{key.partition('=')[0]}:"
    ):
        compose(tmp_path, f"accelerator.{key.lower()}", cause)


EARLY = f"+callbacks.x._target_={LIGHTNING}.EarlyStopping"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            (EARLY, "+callbacks.x.monitor=val/lss"),
            "callbacks.x monitors 'val/lss', which is none of the observed metrics: .*val/loss",
        ),
        (
            (EARLY, "+callbacks.x.monitor=val/loss", "+observe.test={first: 2, every: 4}"),
            "after step 2 observe.test is due and observe.val is not: give both the same first and every",
        ),
        ((EARLY, "+callbacks.x.monitor=val/loss", "+callbacks.x.patienc=2"), "callbacks.x: .*patienc"),
        (("+trainer.max_time=soon",), "trainer: Lightning's Trainer refuses .*soon"),
        (
            ("optimizer=adam", "accelerator.precision=16-mixed", "+trainer.gradient_clip_val=1"),
            "trainer.gradient_clip_val: .* choose optimizer.fused=false",
        ),
    ],
)
def test_what_would_fail_in_lightning_is_refused_before_anything_is_written(
    tmp_path: Path, overrides: tuple[str, ...], message: str
) -> None:
    run = compose(tmp_path, *overrides)
    with pytest.raises(ConfigurationError, match=message):
        normlab.train(run)
    assert list(tmp_path.iterdir()) == []


class Counts(pl.Callback):
    def __init__(self) -> None:
        self.batches = 0


class CountsAndKeeps(Counts):
    def state_dict(self) -> dict[str, Any]:
        return {"batches": self.batches}


@pytest.mark.parametrize(("callback", "is_named"), [("Counts", True), ("CountsAndKeeps", False), ("StopsAtTen", False)])
def test_a_callback_that_keeps_no_state_is_named(
    tmp_path: Path, callback: str, is_named: bool, caplog: pytest.LogCaptureFixture
) -> None:
    normlab.train(compose(tmp_path, f"+callbacks.x._target_={__name__}.{callback}"))
    assert (f"callbacks.x: {callback} (" in caplog.text and "does not resume exactly" in caplog.text) == is_named


def test_further_loggers_receive_every_observation_in_chunks_and_batch_by_batch(tmp_path: Path) -> None:
    for place, overrides in {"chunks": (), "batches": (INERT,)}.items():
        target = "+loggers.csv._target_=pytorch_lightning.loggers.CSVLogger"
        run = compose(tmp_path / place, target, *overrides)
        assert normlab.train(run).status == "finished"
        (table,) = run.directory.path.glob("lightning_logs/version_0/metrics.csv")
        header, *rows = [line.split(",") for line in table.read_text().splitlines()]
        found = {
            (int(row[header.index("step")]), name): float(value)
            for row in rows
            for name, value in zip(header, row, strict=True)
            if value and name != "step"
        }
        curves = {
            (step, name): value
            for name, curve in curves_of(run.directory.path).items()
            for step, value in curve.items()
        }
        assert found.items() >= curves.items()


def test_loggers_are_no_part_of_the_identity_of_a_run(tmp_path: Path) -> None:
    logger = "+loggers.csv._target_=pytorch_lightning.loggers.CSVLogger"
    assert compose(tmp_path).id == compose(tmp_path, logger).id


@pytest.mark.parametrize("target", ["pytorch_lightning.Callback", "pytorch_lightning.loggers.NoLogger"])
def test_what_is_no_logger_is_refused(tmp_path: Path, target: str) -> None:
    with pytest.raises(ConfigurationError, match=r"loggers\.x"):
        normlab.train(compose(tmp_path, f"+loggers.x._target_={target}"))
    assert list(tmp_path.iterdir()) == []
