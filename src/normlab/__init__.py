"""normlab: reproducible ablations of normalization layers.

    run = normlab.compose("experiment=deep_cnn", "normalizer=tf_nn", "seed=3")
    record = normlab.train(run)
    results = normlab.load("outputs/deep_cnn")
    network = results.network(run.id)
    layer = normlab.normalizer("slim", 64, momentum=0.1)

Importing normlab is cheap: torch and pandas are imported by the first function that needs them.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from normlab.report.load import Results
    from normlab.runs.record import Record
    from normlab.runs.run import Run

__version__ = "0.1.0"


def compose(*overrides: str) -> "Run":
    """Compose one run from the shipped configs; see `normlab.config.compose.compose`."""
    from normlab.config.compose import compose

    return compose(*overrides)


def train(run: "Run") -> "Record":
    """Train a run, or what is left of it, and return its record; see `normlab.training.run.train`."""
    from normlab.training.run import train

    return train(run)


def load(*directories: str | Path) -> "Results":
    """Read all runs below output directories into tidy frames; see `normlab.report.load.load`.

    `network(run_id)` of the result is the network of a finished run, with its trained weights.
    """
    from normlab.report.load import load

    def restore(directory: Path) -> object:
        from normlab.training.run import restore_network

        return restore_network(directory)

    return load(*directories, restore=restore)


def normalizer(name: str, num_features: int, **settings: Any) -> "nn.Module":
    """Build the normalizer of a file in `conf/normalizer` for a number of features.

    Args:
        name: of the file, such as "tf_layers".
        num_features: channels C of its inputs.
        settings: replace those of the file.

    Raises ConfigurationError or Hydra's ConfigCompositionException, naming key and remedy.
    """
    from normlab.config.compose import compose
    from normlab.config.targets import bind
    from normlab.normalizers import bind_features

    chosen = {**compose(f"normalizer={name}").settings["normalizer"], **settings}
    return bind_features(bind({"normalizer": chosen}, "normalizer"))(num_features)
