"""A run that its own config stops early, and callbacks of Lightning whose results would be wrong."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl

import normlab
from normlab.errors import ConfigurationError
from normlab.training.module import TrainingModule


class StopsAtFifty(pl.Callback):
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        assert isinstance(pl_module, TrainingModule)
        trainer.should_stop = pl_module.steps_done >= 50


@pytest.mark.parametrize("stop", [f"+callbacks.stop._target_={__name__}.StopsAtFifty", "+trainer.max_steps=50"])
def test_it_has_finished_with_final_metrics_and_the_step_and_is_not_trained_on(tmp_path: Path, stop: str) -> None:
    run = normlab.compose("data=digits", "steps=80", f"output_root={tmp_path}", stop)
    record = normlab.train(run)
    assert (record.status, record.stopped_at) == ("finished", 50)
    assert "val/accuracy" in record.metrics
    assert normlab.train(run) == record


@pytest.mark.parametrize(
    "callback",
    [
        ("StochasticWeightAveraging", "swa_lrs=0.05"),
        ("EMAWeightAveraging", "decay=0.9"),
        ("EarlyStopping", "monitor=val/loss"),
        ("ModelCheckpoint", "monitor=val/loss"),
        ("GradientAccumulationScheduler", "scheduling={0:2}"),
    ],
    ids=lambda callback: callback[0],
)
def test_a_callback_whose_result_would_be_wrong_is_refused(tmp_path: Path, callback: tuple[str, str]) -> None:
    name, argument = callback
    overrides = (f"+callbacks.x._target_=pytorch_lightning.callbacks.{name}", f"+callbacks.x.{argument}")
    run = normlab.compose("data=digits", "steps=4", f"output_root={tmp_path}", *overrides)
    with pytest.raises(ConfigurationError, match=rf"callbacks\.x: {name} acts on single steps"):
        normlab.train(run)
    assert list(tmp_path.iterdir()) == []
