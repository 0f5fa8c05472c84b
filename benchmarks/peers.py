"""What else trains these networks: updates per second of normlab against Keras, TensorFlow and the Lightning template.

Each side runs in a process of its own, with one thread and with two, and they are timed in turn. All train the same
layers, as many parameters, on batches of 64 of the same images in memory, from the same initial distributions with the
same optimizer. What is built or traced at first use is left out on all sides, and nothing is observed.

normlab: a whole run, with record, loggers and checkpoint. tf.function: a step over tensors in memory, called for each
update; "loop inside": an epoch of such steps looped over within the graph. model.fit: over arrays in memory, with its
defaults. template: Dataset, DataLoader(shuffle=True, num_workers=0), self.log of every loss and a TensorBoard logger.

Command: python benchmarks/peers.py (about 25 minutes on two cores; needs `pip install 'normlab[peers]'`)
"""

import statistics
import tempfile
from pathlib import Path

import numpy as np
from hydra.utils import instantiate
from own_process import OwnProcess, Task
from paired import in_turn, print_machine, ratio, rounds_asked_for

from normlab.config.compose import compose
from normlab.data import Splits

NETWORKS = {"deep_cnn": ("tf_layers", 150), "convnet": ("slim", 800), "mlp": ("batch_norm_1d", 4000)}
"""Experiment → normalizer beside none, and updates of one timing, some seconds each."""

SIDES = {
    "normlab": "peers_in_torch.py",
    "tf.function": "peers_in_tensorflow.py",
    "tf.function, loop inside": "peers_in_tensorflow.py",
    "model.fit": "peers_in_tensorflow.py",
    "template": "peers_in_torch.py",
}


def compare(
    sides: dict[str, OwnProcess], network: str, normalizer: str, threads: int, updates: int, data: Path, rounds: int
) -> None:
    """Print the updates per second of each side, and what normlab's are of each peer's."""
    parameters = {
        process.prepare(Task(side, network, normalizer, threads, updates, str(data))) for side, process in sides.items()
    }
    assert len(parameters) == 1, f"the networks differ: {parameters} parameters"
    found = in_turn(sides, rounds)
    for side, speeds in found.items():
        told = "" if side == "normlab" else ratio(found["normlab"], speeds)
        print(f"{network:<9} {normalizer:<14} {threads:>7}  {side:<25} {statistics.median(speeds):>8.1f}/s  {told}")
    print(flush=True)


def save_training_images(path: Path) -> None:
    """Write MNIST's training split, as normlab reads it, for sides that read it without normlab."""
    images, labels = Splits.of(instantiate(compose("data=mnist").settings["data"])).train
    np.savez(path, images=images.squeeze(1).numpy(), labels=labels.numpy())


def main() -> None:
    rounds = rounds_asked_for(__doc__, 5)
    print_machine("torch", "pytorch-lightning", "tensorflow-cpu", "keras")
    print(f"network   normalizer     threads  side                        median   normlab ÷ it, of {rounds}")
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "train.npz"
        save_training_images(data)
        for threads in (1, 2):
            here = Path(__file__).parent
            sides = {side: OwnProcess(here / name, data.with_name(f"{side}.txt")) for side, name in SIDES.items()}
            for network, (normalizer, updates) in NETWORKS.items():
                for choice in ("none", normalizer):
                    compare(sides, network, choice, threads, updates, data, rounds)
            for process in sides.values():
                process.end()


if __name__ == "__main__":
    main()
