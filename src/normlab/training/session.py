"""One run in this process, from its latest checkpoint to its record: module, observer, loggers, checkpoints."""

import logging
import traceback
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf
from pytorch_lightning.loggers import Logger
from torch import nn

from normlab.models.layers import list_normalizers
from normlab.normalizers import get_statistics_batch
from normlab.runs.identity import identify
from normlab.runs.record import Record
from normlab.runs.run import Run
from normlab.training.automatic import AutomaticModule
from normlab.training.build import Parts
from normlab.training.checkpoints import TRAINER_STATE, Checkpoints, TrainerCheckpoints, latest, restore
from normlab.training.environment import describe_environment
from normlab.training.loggers import CsvLogger, RunTensorBoardLogger, collect_hyperparameters
from normlab.training.observations import Observer, ValidatingObserver, send

log = logging.getLogger(__name__)


def prepare(run: Run, parts: Parts, networks: int = 1) -> Record:
    """Write the first files of a run, whose directory this process owns, and return its record. Raises OSError."""
    precision, processes = (run.settings["accelerator"][key] for key in ("precision", "processes"))
    record = run.new_record()
    record.environment = describe_environment(parts.device, precision, processes)
    if networks > 1:
        record.environment["trained_together"] = networks
    record.statistics_batch = get_statistics_batch(parts.module.network, run.settings["batch_size"], processes)
    record.replaced = getattr(parts.module.network, "replaced", {})
    if record.replaced:
        changes = Counter(record.replaced.values()).items()
        log.info("%s: %s", run.id, ", ".join(f"{count} × {change}" for change, count in changes))
    record.training = "automatic optimization" if isinstance(parts.module, AutomaticModule) else "chunks"
    record.metrics_info = {name: asdict(metric) for name, metric in parts.metrics.items()}
    run.directory.checkpoint.parent.mkdir(exist_ok=True)
    OmegaConf.save(OmegaConf.create(dict(run.settings)), run.directory.config)
    np.savez_compressed(run.directory.inputs, allow_pickle=False, **parts.data.samples)
    run.directory.write(record)
    return record


def note_error(run: Run, record: Record, error: BaseException) -> None:
    """Write into a run's record that it failed, or was interrupted by what may be over when it is requested again."""
    passing = isinstance(error, torch.AcceleratorError) or not isinstance(error, Exception)
    record.status = "interrupted" if passing else "failed"
    record.error = "".join(traceback.format_exception(error))
    run.directory.write(record)


class Session:
    """All that a run consists of from its first step in this process, after its latest checkpoint, to its last.

    This process owns and has prepared the directory of the run; `networks` are trained in it at once.
    """

    def __init__(self, run: Run, parts: Parts, record: Record, networks: int = 1) -> None:
        self.run, self.parts, self.record = run, parts, record
        self.module = module = parts.module
        _warn_of_partial_statistics(run, module.network, record)
        checkpoint = latest(run.directory) or {}
        if checkpoint:
            restore(module, checkpoint)
            log.info("%s resumes after step %d", run.id, module.steps_done)
        is_automatic = isinstance(module, AutomaticModule)
        make_checkpoints = TrainerCheckpoints if is_automatic else Checkpoints
        self.checkpoints = make_checkpoints(run.directory, checkpoint.get("seconds", 0.0), networks)
        self.observer = (ValidatingObserver if is_automatic else Observer)(parts.observations, parts.describe)
        hyperparameters = collect_hyperparameters(run.choices, identify(run.settings))
        self.tensorboard = RunTensorBoardLogger(run.directory.path, hyperparameters, module.steps_done)
        self.table = CsvLogger(run.directory.metrics, checkpoint.get("metrics_size", 0))
        self.others = [make(run.directory.path) for make in parts.loggers]
        for logger in self.others:
            logger.log_hyperparams(dict(hyperparameters))
        self.loggers: list[Logger] = [self.table, self.tensorboard, *self.others]
        self.resumes_from: Path | None = checkpoint["path"] if TRAINER_STATE in checkpoint else None
        """Checkpoint from which Lightning's Trainer resumes."""
        self.is_trained = is_automatic and bool(checkpoint) and self.resumes_from is None
        """Whether the checkpoint was written after the last step of Lightning's Trainer, whose callbacks are done."""

    def finish(self) -> Record:
        """Keep the last checkpoint, evaluate if the run has ended, and write and return the record.

        A run that stopped before its last step without a signal has ended, by a callback or an argument of the Trainer;
        of several processes only one may know of the signal.
        """
        module, record = self.module, self.record
        may_have_signal = module.stop_request.signal is not None or module.parallel is not None
        is_cut_short = module.steps_done < record.steps and may_have_signal
        if not (is_cut_short and isinstance(module, AutomaticModule)):  # whose callbacks have ended its training
            self.checkpoints.save(module)
        record.seconds = self.checkpoints.seconds
        record.steps_per_second = module.steps_done / record.seconds
        if module.diverged_at is not None:
            record.status, record.diverged_at = "diverged", module.diverged_at
        elif is_cut_short:
            record.status = "interrupted"
        else:
            record.stopped_at = module.steps_done if module.steps_done < record.steps else None
            self._evaluate()
            record.status = "finished"
        self.close()
        self.run.directory.write(record)
        log.info("%s: %s", record.run_id, describe_outcome(record))
        return record

    def close(self) -> None:
        """Write what the loggers hold."""
        self.tensorboard.end_session()
        self.table.close()
        for logger in self.others:
            logger.finalize("success")
            finish = getattr(getattr(logger, "experiment", None), "finish", None)
            if finish is not None:  # else Weights & Biases would take the next run of this process for this one
                finish()

    def _evaluate(self) -> None:
        """Take the measurements after the last step, and write their numbers into the record."""
        step = self.module.steps_done
        state = self.parts.describe(self.module)
        observed = {name for due in self.observer.list_due(step) for name in self.parts.observations[due][1].metrics}
        for key, measurement in self.parts.evaluations.items():
            values = self.observer.measure(f"evaluate.{key}", measurement, state)
            self.record.metrics |= {name: float(values[name]) for name in values if name in measurement.metrics}
            new = {name: value for name, value in values.items() if name not in observed}
            send(self.loggers, measurement, new, step)


def describe_outcome(record: Record) -> str:
    """Return how a run ended, for the log."""
    if record.status == "interrupted":
        return "interrupted; run the same command again to resume from its checkpoint"
    if record.status == "diverged":
        return f"diverged, {record.reason}"
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in record.metrics.items())
    return metrics if record.stopped_at is None else f"stopped after step {record.stopped_at}, {metrics}"


def _warn_of_partial_statistics(run: Run, network: nn.Module, record: Record) -> None:
    """Name the first normalizer that should see whole batches and cannot."""
    normalizers, size = dict(list_normalizers(network)), run.settings["batch_size"]
    for block, examples in record.statistics_batch.items():
        normalizer = normalizers.get(block) or network.get_submodule(block)
        wanted = min(size, getattr(normalizer, "statistics_batch", size))
        if run.settings["sync_statistics"] and examples < wanted:
            log.warning(
                "%s takes its statistics from its process's part, %d examples of a batch: to see all of them it needs"
                " an attribute `synchronized`, and to sum over processes if that is set",
                type(normalizer).__name__,
                examples,
            )
            return
