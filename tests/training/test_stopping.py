"""A run that its own config stops early."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl

import normlab
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
