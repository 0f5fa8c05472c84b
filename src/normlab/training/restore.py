"""The network of a finished run, with its trained weights."""

from pathlib import Path

from torch import nn

from normlab.config.compose import reload
from normlab.config.targets import call
from normlab.data import Splits
from normlab.errors import ConfigurationError
from normlab.runs.directory import RunDirectory
from normlab.training.build import build_network
from normlab.training.checkpoints import latest


def restore_network(directory: Path) -> nn.Module:
    """Return the network of a run on the CPU, in inference mode, with the weights and buffers of its last checkpoint.

    The data are loaded too, since they determine the shape of the network.

    Raises:
        ConfigurationError: the directory holds no finished run, the run cannot be built, or its checkpoint is gone.
    """
    state = RunDirectory(directory).state()
    if state.status != "finished":
        raise ConfigurationError(f"{directory} holds no finished run: it is {state.status}. {state.reason}".rstrip())
    run = reload(directory)
    checkpoint = latest(RunDirectory(directory))
    if checkpoint is None:
        raise ConfigurationError(f"{directory} has no sound checkpoint: train the run again with normlab-rerun")
    network = build_network(run.settings, Splits.of(call(run.settings, "data")))
    network.load_state_dict(checkpoint["network"])
    return network.eval()
