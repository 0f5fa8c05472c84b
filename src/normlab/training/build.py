"""From settings to the parts of a run: data, network, objective, optimizer, batches. Writes nothing."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from numpy.typing import NDArray
from torch import Tensor, nn

from normlab.config.checks import ConfigurationError, observations
from normlab.data import BatchStream, DataError, Splits
from normlab.data.preprocessing import Rotation, fitted, transformed
from normlab.measurements.input_samples import samples
from normlab.measurements.schedule import Schedule, schedules
from normlab.measurements.scores import Objective
from normlab.models import initialize
from normlab.normalizers import synchronize
from normlab.processes.memory import keep_freed_memory

Preprocess = Callable[[Tensor], Tensor]
"""From the images of the splits to what the network sees."""

Samples = Mapping[str, NDArray[np.generic]]
"""What the inputs of a run look like before and after preprocessing."""


@dataclass(frozen=True)
class Parts:
    """All that a run is made of, built from its config before anything is written."""

    device: torch.device
    splits: Splits
    preprocess: Preprocess
    network: nn.Module
    objective: Objective
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    batches: BatchStream
    test_batches: BatchStream
    schedules: dict[str, Schedule]
    samples: Samples
    callbacks: list[pl.Callback]


def assemble(settings: Mapping[str, Any], local_rank: int = 0, like: Parts | None = None) -> Parts:
    """Build everything that a run needs and writes nothing, so that a mistake shows before there is a trace of it.

    Args:
        settings: the config as `normlab.config.checks.validated` returns it.
        local_rank: this process's number among those of the run on this machine.
        like: parts of a run with the same data and preprocessing, which are taken from there.

    Raises:
        ConfigurationError: on a mistake in config or data.
    """
    accelerator = settings["accelerator"]
    device = _device(accelerator["kind"], local_rank)
    if accelerator["cuda_graph"] and device.type != "cuda":
        raise ConfigurationError("accelerator.cuda_graph=true is for CUDA GPUs, and this run is to be made on a CPU")
    if accelerator["deterministic"]:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # which cuBLAS asks for, before its first use
    torch.use_deterministic_algorithms(accelerator["deterministic"])
    if accelerator["threads"] is not None:
        torch.set_num_threads(accelerator["threads"])
    keep_freed_memory()
    seed = settings["seed"]
    pl.seed_everything(seed, verbose=False)  # for modules of a user's own that draw from the global generators

    try:
        splits, preprocess, pictured = (
            _data(settings, device) if like is None else (like.splits, like.preprocess, like.samples)
        )
        network = _build(
            settings,
            "model",
            input_shape=splits.input_shape,
            num_classes=splits.num_classes,
            normalizer=_factory(settings, "normalizer"),
        )
        initialize(network, seed, _build(settings, "initializer"), _build(settings, "convolution_initializer"))
        if accelerator["processes"] > 1 and settings["sync_statistics"]:
            synchronize(network)
        optimizer = _factory(settings, "optimizer")
        optimizer(network.parameters())
        batches = BatchStream(splits.train, preprocess, settings["batch_size"], settings["steps"], seed)
        test_size = min(settings["batch_size"], len(splits.test.labels))
        test_batches = BatchStream(splits.test, preprocess, test_size, settings["steps"], seed, name="test")
        callbacks = [instantiate(callback) for callback in settings["callbacks"].values()]
    except (ValueError, TypeError, DataError, InstantiationException) as error:
        raise ConfigurationError(str(error)) from error
    return Parts(
        device=device,
        splits=splits,
        preprocess=preprocess,
        network=network,
        objective=_factory(settings, "objective"),
        optimizer=optimizer,
        batches=batches,
        test_batches=test_batches,
        schedules=schedules(observations(settings)),
        samples=pictured,
        callbacks=callbacks,
    )


def _data(settings: Mapping[str, Any], device: torch.device) -> tuple[Splits, Preprocess, Samples]:
    splits = Splits.of(_build(settings, "data")).to(device)
    preprocessing = _build(settings, "preprocessing")
    preprocess = fitted(preprocessing, splits.train)
    pictured = samples(_build(settings, "preprocessing"), preprocess, splits.train)
    if isinstance(preprocessing, Rotation):
        # A product with a matrix of all pixels costs as much as an update of a small network.
        return transformed(splits, preprocess), as_they_are, pictured
    return splits, preprocess, pictured


def as_they_are(images: Tensor) -> Tensor:
    """Preprocess images that are preprocessed already."""
    return images


def _build(settings: Mapping[str, Any], group: str, **arguments: Any) -> Any:
    """Call the `_target_` of a config group with the group's keys and `arguments`; None where the group is null."""
    if settings[group] is None:
        return None
    try:
        return instantiate(settings[group], **arguments)
    except InstantiationException as error:
        if error.__cause__ is None:
            raise
        raise ConfigurationError(f"{group}: {error.__cause__}") from error.__cause__


def _factory(settings: Mapping[str, Any], group: str) -> Callable[..., Any]:
    """Return the `_target_` of a config group with the group's keys bound to it.

    Hydra's own partial checks its policy on targets anew at each call, which the objective feels at every update.
    """
    keys = {key: value for key, value in settings[group].items() if key not in ("_target_", "_partial_")}
    return partial(get_object(settings[group]["_target_"]), **instantiate(keys, _convert_="all"))


def _device(kind: str, local_rank: int) -> torch.device:
    if kind == "cpu" or (kind == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ConfigurationError(
            "accelerator=gpu, but torch finds no CUDA GPU here: check the driver with nvidia-smi and torch's build"
            " with torch.version.cuda, or use accelerator=cpu"
        )
    # Launchers may also show each process its own GPU alone, which then is number 0.
    return torch.device("cuda", local_rank % torch.cuda.device_count())
