"""Callbacks and arguments of Lightning's Trainer do to a run what they do to a plain LightningModule on its data."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning import callbacks
from torch import Tensor, nn
from torch.utils.data import DataLoader

import normlab
from normlab.data.batches import Batch, BatchStream
from normlab.runs.record import Record
from normlab.runs.run import Run
from normlab.training.build import build

from ..integration.conftest import curves_of

EPOCH = 20
"""Batches of 64 in an epoch of the 1,247 digits."""
EPOCHS = 3
OBSERVE = ("observe.val.first=10", "observe.val.every=10", "observe.train_batch.first=5", "observe.train_batch.every=5")


class Loader:
    """The batches of a stream, an epoch at a time."""

    def __init__(self, batches: BatchStream) -> None:
        self.batches = batches
        self.epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self.batches.split.targets) / self.batches.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        first = self.epoch * len(self)
        self.epoch += 1
        for step in range(first, first + len(self)):
            yield self.batches.batch(step)


class Plain(pl.LightningModule):
    def __init__(self, network: nn.Module, objective: Any, optimizer: Any) -> None:
        super().__init__()
        self.network, self.objective, self.optimizer = network, objective, optimizer

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss: Tensor = self.objective(self.network(batch[0]), batch[1])
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.log("val/loss", self.training_step(batch, batch_idx), batch_size=len(batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        optimizer: torch.optim.Optimizer = self.optimizer(self.network.parameters())
        return optimizer


class PlainWithoutStaleStep(Plain):
    """Without the step that Lightning 2.6 makes with old gradients after an epoch for running averages."""

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        if self.trainer.fit_loop._skip_backward:
            optimizer_closure()
        else:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)


def compose(place: Path, *overrides: str) -> Run:
    return normlab.compose("data=digits", "evaluate.one_by_one=0", f"output_root={place}", *OBSERVE, *overrides)


def fit_plain(
    run: Run, *chosen: pl.Callback, module: type[Plain] = Plain, **arguments: Any
) -> tuple[Plain, pl.Trainer]:
    parts = build(run.settings)
    val = parts.data.splits.val
    validation: Any = [(parts.data.preprocess(val.inputs), val.targets)]
    plain = module(parts.module.network, parts.module.objective, parts.module.make_optimizer)
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[*chosen],
        enable_checkpointing=any(isinstance(each, callbacks.ModelCheckpoint) for each in chosen),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        val_check_interval=10,
        check_val_every_n_epoch=None,
        **{"max_epochs": EPOCHS, **arguments},
    )
    trainer.fit(plain, Loader(parts.module.batches), DataLoader(validation, batch_size=None))
    return plain, trainer


def assert_same_network(run: Run, plain: Plain) -> None:
    kept = torch.load(run.directory.checkpoint, weights_only=True)["network"]
    expected = plain.network.state_dict()
    assert [*kept] == [*expected]
    assert [name for name in kept if not torch.equal(kept[name], expected[name])] == []


def train(run: Run) -> Record:
    record = normlab.train(run)
    assert (record.status, record.training) == ("finished", "automatic optimization"), record.error
    return record


def of_lightning(name: str, *arguments: str) -> tuple[str, ...]:
    return (
        f"+callbacks.x._target_=pytorch_lightning.callbacks.{name}",
        *(f"+callbacks.x.{each}" for each in arguments),
    )


FEATURES: dict[str, tuple[tuple[str, ...], Callable[[], list[pl.Callback]], dict[str, Any]]] = {
    "a callback that does nothing": (of_lightning("Callback"), lambda: [], {}),
    "SWA": (
        of_lightning("StochasticWeightAveraging", "swa_lrs=0.05", "swa_epoch_start=1", "annealing_epochs=2"),
        lambda: [callbacks.StochasticWeightAveraging(0.05, swa_epoch_start=1, annealing_epochs=2)],
        {},
    ),
    "EMA": (of_lightning("EMAWeightAveraging", "decay=0.9"), lambda: [callbacks.EMAWeightAveraging(decay=0.9)], {}),
    "weight averaging": (of_lightning("WeightAveraging"), lambda: [callbacks.WeightAveraging()], {}),
    "clipping by norm": (("+trainer.gradient_clip_val=0.1",), lambda: [], {"gradient_clip_val": 0.1}),
    "clipping by value": (
        ("+trainer.gradient_clip_val=0.01", "+trainer.gradient_clip_algorithm=value"),
        lambda: [],
        {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"},
    ),
    "an accumulation schedule": (
        (*of_lightning("GradientAccumulationScheduler", "scheduling={0:7,1:3}"), "steps=17"),
        lambda: [callbacks.GradientAccumulationScheduler({0: 7, 1: 3})],
        {},
    ),
    "accumulation": (
        ("+trainer.accumulate_grad_batches=7", "steps=8"),
        lambda: [],
        {"accumulate_grad_batches": 7, "max_steps": 8, "max_epochs": -1},
    ),
    "max_steps": (("+trainer.max_steps=33",), lambda: [], {"max_steps": 33}),
    "a profiler": (("+trainer.profiler=simple",), lambda: [], {}),
    "a progress bar of rich": (of_lightning("RichProgressBar"), lambda: [], {}),
    "a model summary": (of_lightning("ModelSummary"), lambda: [], {}),
}


@pytest.mark.parametrize("feature", FEATURES)
def test_weights_and_running_averages_equal_those_of_a_plain_module(tmp_path: Path, feature: str) -> None:
    overrides, chosen, arguments = FEATURES[feature]
    # Lightning's SWA renews running averages of torch's classes alone: see below.
    normalizer = "none" if feature == "SWA" else "tf_layers"
    run = compose(tmp_path, f"steps={EPOCHS * EPOCH}", f"normalizer={normalizer}", "optimizer=adam", *overrides)
    train(run)
    plain, _ = fit_plain(run, *chosen(), **arguments)
    assert_same_network(run, plain)


SWA = of_lightning("StochasticWeightAveraging", "swa_lrs=0.05", "swa_epoch_start=1")


@pytest.fixture
def torch_normalizer(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "conf" / "normalizer").mkdir(parents=True)
    (tmp_path / "conf" / "normalizer" / "torchs.yaml").write_text("_target_: torch.nn.BatchNorm1d\n")
    return f"hydra.searchpath=[file://{tmp_path}/conf]", "normalizer=torchs"


@pytest.mark.parametrize(("observed", "module"), [(True, Plain), (False, PlainWithoutStaleStep)])
def test_stochastic_weight_averaging_renews_running_averages_in_an_epoch_of_its_own(
    tmp_path: Path, torch_normalizer: tuple[str, ...], observed: bool, module: type[Plain]
) -> None:
    # A validation clears the gradients, after which Lightning's further step changes nothing.
    unobserved = () if observed else ("observe.val=null", "observe.histograms=null")
    run = compose(tmp_path / "runs", f"steps={EPOCHS * EPOCH}", *torch_normalizer, *SWA, *unobserved)
    train(run)
    averaging = callbacks.StochasticWeightAveraging(0.05, swa_epoch_start=1)
    plain, _ = fit_plain(run, averaging, module=module, limit_val_batches=int(observed))
    assert_same_network(run, plain)


def test_it_renews_those_of_other_normalizers_as_those_of_torch(
    tmp_path: Path, torch_normalizer: tuple[str, ...]
) -> None:
    networks = []
    for normalizer in (torch_normalizer, ("normalizer=batch",)):
        run = compose(tmp_path / "runs", f"steps={EPOCHS * EPOCH}", *normalizer, *SWA)
        train(run)
        networks.append(torch.load(run.directory.checkpoint, weights_only=True)["network"])
    theirs, ours = networks
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("steps", [EPOCHS * EPOCH, EPOCHS * EPOCH - 7])
def test_they_are_means_over_an_epoch_that_is_passed_once_more(tmp_path: Path, steps: int) -> None:
    run = compose(tmp_path, f"steps={steps}", "normalizer=batch", *SWA)
    train(run)
    network = normlab.load(tmp_path / "single").network(run.id)
    parts = build(run.settings)
    linear = network.get_submodule("hidden.0.linear_map")
    with torch.no_grad():
        inputs = [linear(parts.module.batches.batch(step)[0].flatten(1)) for step in range(steps, steps + EPOCH)]
    mean = torch.stack([each.mean(0) for each in inputs]).mean(0)
    variance = torch.stack([each.var(0) for each in inputs]).mean(0)
    torch.testing.assert_close(network.get_buffer("hidden.0.normalizer.running_mean"), mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.get_buffer("hidden.0.normalizer.running_var"), variance, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("patience", [1, 3])
def test_early_stopping_stops_at_the_same_observation(tmp_path: Path, patience: int) -> None:
    stopping = of_lightning("EarlyStopping", "monitor=val/loss", f"patience={patience}")
    run = compose(tmp_path, "steps=400", "optimizer.lr=3", *stopping)
    record = train(run)
    plain, trainer = fit_plain(run, callbacks.EarlyStopping("val/loss", patience=patience), max_epochs=20)
    assert record.stopped_at == trainer.global_step < 400
    assert_same_network(run, plain)
    losses = [*curves_of(run.directory.path)["val/loss"].values()]
    assert min(losses) == losses[-1 - patience]  # the last ones are no improvement


def test_model_checkpoint_keeps_the_same_best_networks(tmp_path: Path) -> None:
    keeping = of_lightning("ModelCheckpoint", "monitor=val/loss", "save_top_k=2", "save_last=true")
    run = compose(tmp_path / "runs", "steps=60", "optimizer.lr=3", *keeping)
    train(run)
    theirs = callbacks.ModelCheckpoint(tmp_path / "plain", monitor="val/loss", save_top_k=2, save_last=True)
    fit_plain(run, theirs)
    place = run.directory.path / "callbacks" / "checkpoints"
    assert sorted(path.name for path in place.iterdir()) == sorted(path.name for path in (tmp_path / "plain").iterdir())
    for path in place.iterdir():
        ours, expected = (torch.load(each, weights_only=True) for each in (path, tmp_path / "plain" / path.name))
        assert ours["global_step"] == expected["global_step"]
        assert all(torch.equal(ours["state_dict"][name], value) for name, value in expected["state_dict"].items())


def test_a_learning_rate_monitor_writes_a_curve(tmp_path: Path) -> None:
    run = compose(tmp_path, "steps=6", "optimizer.lr=0.25", *of_lightning("LearningRateMonitor"))
    train(run)
    assert curves_of(run.directory.path)["lr-SGD"] == dict.fromkeys(range(6), 0.25)


@pytest.mark.filterwarnings("ignore:Error detected in SqrtBackward0")
def test_detect_anomaly_names_the_operation_whose_gradient_is_not_a_number(tmp_path: Path) -> None:
    objective = ("~objective.label_smoothing", f"objective._target_={__name__}.no_number")
    run = compose(tmp_path, "steps=6", "+trainer.detect_anomaly=true", *objective)
    with pytest.raises(Exception, match=r"SqrtBackward0.* returned nan values"):
        normlab.train(run)


def no_number(logits: Tensor, targets: Tensor) -> Tensor:
    zero = logits.sum() * 0
    return zero.sqrt() * 0 + zero


def test_a_limit_of_time_ends_a_run_with_its_results_and_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = compose(tmp_path, "steps=1000000", "+trainer.max_time={seconds: 0.5}")
    record = train(run)
    assert record.stopped_at is not None
    assert "val/accuracy" in record.metrics
    assert "trainer.max_time ends a run by the clock" in caplog.text


def test_the_learning_curve_of_averaged_weights_is_that_of_the_network_that_is_evaluated(tmp_path: Path) -> None:
    run = compose(tmp_path, "steps=60", *of_lightning("EMAWeightAveraging", "decay=0.9"))
    record = train(run)
    assert curves_of(run.directory.path)["val/loss"][60] == record.metrics["val/loss"]
