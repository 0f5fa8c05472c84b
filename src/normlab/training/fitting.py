"""Training one run in its directory: from the latest checkpoint to the last update and the final evaluation."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from normlab.processes.stopping import StopRequest
from normlab.runs.record import Record, RunDirectory
from normlab.training.build import Parts
from normlab.training.data_parallel.followers import followed
from normlab.training.data_parallel.gradients import DataParallel
from normlab.training.data_parallel.rendezvous import Rendezvous
from normlab.training.module import stretches
from normlab.training.session import begun
from normlab.training.trainer import Stopping, trainer_for


def fit_and_evaluate(
    settings: Mapping[str, Any],
    parts: Parts,
    directory: RunDirectory,
    record: Record,
    others: Rendezvous | None,
    request: StopRequest,
    progress: bool,
) -> None:
    """Train, from a checkpoint where there is one, measure the whole splits at the end, and complete the record.

    Args:
        settings: the config as `normlab.config.checks.validated` returns it.
        parts: what the run is made of.
        directory: of the run, which this process owns.
        record: to complete.
        others: the way to the processes that train along; None for one process.
        request: what stops the training.
        progress: show a bar.
    """
    parallel = None if others is None else DataParallel(others.rank, others.size, settings["seed"])
    session = begun(settings, parts, directory, record, parallel)
    module, observer = session.module, session.observer
    if settings["accelerator"]["compile"]:
        parts.network.compile()  # the network alone: a compiled LightningModule cannot log
    with nullcontext() if others is None else followed(others, module, parts.device):
        callbacks = [observer, *parts.callbacks, Stopping(request), session.checkpoints]
        trainer = trainer_for(parts.device, directory.path, callbacks, session.loggers, progress, settings["trainer"])
        trainer.fit(module, stretches(module.updates, settings["steps"], observer.is_due))
    module.to(parts.device)  # Lightning leaves a network on the CPU after fitting
    session.conclude()
