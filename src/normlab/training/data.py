"""The data of a run on its device, with the preprocessing fitted, samples of the inputs, and the batches."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from normlab.config.targets import bind, call
from normlab.contracts import require_contract
from normlab.data import Augmentation, BatchStream, Split, Splits
from normlab.data.preprocessing import Preprocess, Rotation, fit_preprocessing, transform_splits
from normlab.measurements.input_samples import Samples, sample_inputs

FEW = 1_000
"""Examples that a preprocessing is fitted to if nothing is trained."""


@dataclass(frozen=True)
class Data:
    splits: Splits
    preprocess: Preprocess
    samples: Samples


LoadData = Callable[[Mapping[str, Any], torch.device], Data]
"""From the settings of a run and its device to its data."""

_latest: tuple[Any, str, Data] | None = None
"""The latest data with their source and key: a worker trains run after run on the same data."""


def load_data(settings: Mapping[str, Any], device: torch.device) -> Data:
    """Return the data of a run; those of the latest one if source and preprocessing are the same.

    Raises ConfigurationError, ValueError and DataError.
    """
    global _latest
    source = call(settings, "data")
    key = json.dumps([settings["preprocessing"], str(device)])
    if _latest is None or _latest[0] is not source or _latest[1] != key:
        _latest = None  # frees the memory before the next data are loaded
        splits = Splits.of(source).to(device)
        preprocessing = call(settings, "preprocessing")
        preprocess = fit_preprocessing(preprocessing, splits.train, splits.task)
        samples = sample_inputs(preprocessing, preprocess, splits.train, splits.task)
        if isinstance(preprocessing, Rotation):
            # A product with a matrix of all pixels costs as much as a step of a small network.
            splits, preprocess = transform_splits(splits, preprocess), lambda inputs: inputs
        _latest = source, key, Data(splits, preprocess, samples)
    return _latest[2]


def try_data(settings: Mapping[str, Any], device: torch.device) -> Data:
    """Return the data of a run with the preprocessing fitted to a few examples: enough to find mistakes.

    Raises as `load_data` does.
    """
    return _try_data(json.dumps({group: settings[group] for group in ("data", "preprocessing")}), device)


@lru_cache(maxsize=1)  # a sweep tries all variants of a data set in turn
def _try_data(key: str, device: torch.device) -> Data:
    settings = json.loads(key)
    splits = Splits.of(call(settings, "data")).to(device)
    few = Split(*(part[:FEW] for part in splits.train))
    return Data(splits, fit_preprocessing(call(settings, "preprocessing"), few, splits.task), {})


def build_batches(settings: Mapping[str, Any], data: Data) -> BatchStream:
    """Return the training batches of a run. Raises ConfigurationError and ValueError."""
    augmentation = call(settings, "augmentation")
    if augmentation is not None:
        require_contract(augmentation, Augmentation, "augmentation")
        if isinstance(call(settings, "preprocessing"), Rotation):
            raise ValueError(
                "augmentation changes images in every step, but a preprocessing that rotates them (pca, zca) is done"
                " once, before the first: choose augmentation=none or another preprocessing"
            )
    return BatchStream(
        data.splits.train,
        data.preprocess,
        settings["batch_size"],
        settings["steps"],
        settings["seed"],
        sampler=bind(settings, "sampler"),
        augmentation=augmentation,
    )
