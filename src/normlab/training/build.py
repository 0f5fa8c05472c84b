"""Build the parts of a run from its settings: data, network, loss, optimizer, batches. Writes nothing."""

import functools
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from torch import nn

from normlab.config.checks import list_automatic_keys
from normlab.config.targets import bind, call, find_parameters
from normlab.data import BatchStream, DataError, Split, Splits, Task
from normlab.errors import ConfigurationError
from normlab.measurements import Metric, State
from normlab.models import initialize, reparametrize
from normlab.models.dry_run import dry_run, has_lazy_tensors
from normlab.normalizers import bind_features, get_statistics_batch, synchronize
from normlab.processes.memory import keep_freed_memory
from normlab.training.automatic import AutomaticModule
from normlab.training.callbacks import (
    build_callbacks,
    check_automatic,
    check_trainer_arguments,
    find_accumulation,
    quieten_lightning,
    warn_of_inexact_resumption,
)
from normlab.training.data import Data, LoadData, build_batches, load_data
from normlab.training.loggers import MakeLogger, build_loggers
from normlab.training.module import TrainingModule
from normlab.training.observations import Evaluations, Observations, build_evaluations, build_observations
from normlab.training.recipe import bind_optimizer, build_recipe
from normlab.training.trial import try_measurements, try_objective, try_step

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """All that a run consists of, built from its settings before anything is written."""

    device: torch.device
    data: Data
    module: TrainingModule
    test_batches: BatchStream
    observations: Observations
    evaluations: Evaluations
    callbacks: list[pl.Callback]
    loggers: list[MakeLogger]

    @property
    def metrics(self) -> dict[str, Metric]:
        """Direction and bounds of all that the measurements declare."""
        observed = [measurement for _, measurement in self.observations.values()]
        return {
            name: metric
            for measurement in [*observed, *self.evaluations.values()]
            for name, metric in measurement.metrics.items()
        }

    def is_due(self, step: int) -> bool:
        """Return whether anything is observed after this step."""
        return any(schedule.is_due(step) for schedule, _ in self.observations.values())

    def describe(self, module: TrainingModule, count: int = 0) -> State:
        """Return what can be measured of a module of this run after its latest step."""
        return State(
            module.network,
            module.objective,
            self.data.splits,
            self.data.preprocess,
            module.batches,
            self.test_batches,
            module.steps_done,
            module.batches_done,
            count,
        )


def build(settings: Mapping[str, Any], local_rank: int = 0, load: LoadData = load_data, trial: bool = True) -> Parts:
    """Build all that a run needs and write nothing, so that a mistake shows before the run leaves a trace.

    Args:
        settings: the resolved config.
        local_rank: this process's number among those of the run on this machine.
        load: `load_data`, `try_data`, or what returns the data of another run with the same ones.
        trial: make a step with a copy of the network on a few examples, and take the measurements of a user's own.

    Raises ConfigurationError on a mistake in config or data.
    """
    accelerator = settings["accelerator"]
    device = find_device(accelerator["kind"], local_rank)
    if accelerator["cuda_graph"] and device.type != "cuda":
        raise ConfigurationError("accelerator.cuda_graph=true is for CUDA GPUs, and this run is on a CPU")
    set_up_torch(settings)
    quieten_lightning()
    try:
        check_trainer_arguments(settings["trainer"])
        data = load(settings, device)
        splits, steps = data.splits, settings["steps"]
        module = _build_module(settings, data, device)
        observations, evaluations = build_observations(settings, splits), build_evaluations(settings, splits)
        callbacks = build_callbacks(settings)
        if isinstance(module, AutomaticModule):
            limit = settings["trainer"].get("max_steps", -1)
            module.plan(steps if limit == -1 else min(steps, limit), find_accumulation(settings, callbacks))
            check_automatic(settings, module, callbacks, observations)
            warn_of_inexact_resumption(callbacks, settings["trainer"])
        if trial:
            try_objective(module.objective, splits)
            if accelerator["processes"] == 1:  # with more, layers may ask the other processes, which are not here yet
                try_step(module)
            try_measurements(observations, evaluations, module, splits)
        test_size = min(settings["batch_size"], len(splits.test.targets))
        test_batches = BatchStream(splits.test, data.preprocess, test_size, steps, settings["seed"], name="test")
        loggers = build_loggers(settings)
        return Parts(device, data, module, test_batches, observations, evaluations, [*callbacks.values()], loggers)
    except (ValueError, TypeError, DataError, InstantiationException) as error:
        raise ConfigurationError(str(error)) from error


def _build_module(settings: Mapping[str, Any], data: Data, device: torch.device) -> TrainingModule:
    accelerator = settings["accelerator"]
    network = build_network(settings, data.splits).to(device)
    module = (AutomaticModule if list_automatic_keys(settings) else TrainingModule)(
        network,
        bind(settings, "objective"),
        bind_optimizer(settings),
        build_batches(settings, data),
        accelerator["precision"],
        accelerator["cuda_graph"],
        build_recipe(settings, network),
    )
    get_statistics_batch(network, settings["batch_size"], accelerator["processes"])  # for its check of the batch size
    return module


def build_network(settings: Mapping[str, Any], splits: Splits) -> nn.Module:
    """Build the network for some data with its starting weights. Raises ConfigurationError and ValueError."""
    described = splits.task.describe(*splits.train)
    _check_kind(settings, splits.task, described)
    network: nn.Module = call(settings, "model", **described, normalizer=bind_features(bind(settings, "normalizer")))
    few = Split(*(part[:2].cpu() for part in splits.train))
    classes = splits.task.count_classes(*splits.train)
    dry_run(network, splits.task.prepare(few.inputs), (*few.targets.shape, classes))
    initializers = call(settings, "initializer"), call(settings, "convolution_initializer")
    unpaired = [] if has_lazy_tensors(network) else initialize(network, settings["seed"], *initializers)
    if unpaired:
        _warn_once(
            f"{', '.join(unpaired)}: initial values are not a function of seed and name, so variants with one seed are"
            " not paired there: give their modules a method `reset_parameters` that draws them"
        )
    reparametrize(network, bind(settings, "reparametrization"))
    if settings["accelerator"]["processes"] > 1 and settings["sync_statistics"]:
        synchronize(network)
    return network


def _check_kind(settings: Mapping[str, Any], task: Task, described: Mapping[str, Any]) -> None:
    """Raise ConfigurationError if the model takes data of another kind than those of the task."""
    parameters = find_parameters(settings, "model")
    if parameters is None or any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return
    if not described.keys() <= parameters.keys():
        given = {*settings["model"], "normalizer"}
        needed = [name for name, each in parameters.items() if each.default is each.empty and name not in given]
        raise ConfigurationError(
            f"the model {settings['model']['_target_']} takes {' and '.join(needed) or 'other arguments'}, but"
            f" {type(task).__name__} data give {' and '.join(described)}: choose a model for such data (model=NAME),"
            " or other data (data=NAME)"
        )


_warn_once = functools.cache(log.warning)

THREADS = torch.get_num_threads()
"""Threads with which torch starts here."""


def set_up_torch(settings: Mapping[str, Any]) -> None:
    """Set what torch keeps for the whole process, whatever code of an earlier run in it has set."""
    accelerator = settings["accelerator"]
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)
    torch.set_float32_matmul_precision("highest")
    torch.set_flush_denormal(False)
    torch.backends.cudnn.benchmark = False
    if accelerator["deterministic"]:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required by cuBLAS before its first use
    torch.use_deterministic_algorithms(accelerator["deterministic"])
    torch.set_num_threads(accelerator["threads"] or THREADS)
    keep_freed_memory()
    pl.seed_everything(settings["seed"], verbose=False)  # for user modules that draw from the global generators


def find_device(kind: str, local_rank: int = 0) -> torch.device:
    """Return the device of a process. Raises ConfigurationError if a GPU is requested and there is none."""
    if kind == "cpu" or (kind == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ConfigurationError(
            "accelerator=gpu, but torch finds no CUDA GPU here: check the driver with nvidia-smi and torch's build"
            " with torch.version.cuda, or use accelerator=cpu"
        )
    # Launchers may also show each process its own GPU alone, which is then number 0.
    return torch.device("cuda", local_rank % torch.cuda.device_count())
