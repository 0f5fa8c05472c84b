"""What the harness costs: updates per second of whole runs against a loop written by hand, in one process, in turn.

Both sides train the same network on the same batches with the same optimizer and threads, and observe the same at
the same updates. The run is one of `normlab.train`, its `seconds` as recorded: with record, loggers and checkpoints.
The loop prints and keeps nothing. A ratio of 1 means that the harness costs nothing.

Command: python benchmarks/harness_against_loop.py [CASE ...] (about 10 minutes on one core)
"""

import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from loop_by_hand import loop_by_hand, read_run
from network_libraries import import_network_library
from paired import in_turn, print_machine, ratio, read_cases_and_rounds

from normlab.training.run import train


class Case(NamedTuple):
    """Runs to time: one of each normalizer, with that many updates, some seconds."""

    overrides: tuple[str, ...]
    normalizers: tuple[str, ...]
    updates: int


OBSERVED = tuple(
    f"observe.{name}={{first: 20, every: 20}}" for name in ("val", "train_batch", "test_batch", "normalizers")
)
"""Where no experiment says what is observed: more often than by default, which a timing is too short for."""

CASES = {
    "deep_cnn": Case(("experiment=deep_cnn",), ("none", "tf_layers"), 200),
    "convnet": Case(("experiment=convnet",), ("none", "slim"), 1_000),
    "mlp": Case(("experiment=mlp",), ("none", "batch_norm_1d"), 8_000),
    "resnet": Case(("experiment=resnet",), ("none", "batch"), 150),
    "vit": Case(("experiment=vit",), ("layer",), 150),
    "lstm": Case(("experiment=lstm",), ("none", "recurrent_batch"), 150),
    "language_model": Case(("model=language_model", "data=text", "optimizer=adam", *OBSERVED), ("layer",), 40),
    "imported": Case(
        ("model=imported", "model.network._target_=torchvision.models.resnet18", "data=arrays", *OBSERVED),
        ("batch",),
        40,
    ),
}
"""The number of updates also decides which share of a timing is spent on observations."""


def harness(*overrides: str) -> float:
    """Return the updates per second of one run."""
    with tempfile.TemporaryDirectory() as root:
        record = train(read_run(*overrides, f"output_root={root}"))
    assert record.steps_per_second is not None
    return record.steps_per_second


def by_hand(*overrides: str) -> float:
    return loop_by_hand(read_run(*overrides).settings)


def write_colour_images(file: Path) -> None:
    """Write random images of 3 × 32 × 32 pixels in 10 classes."""
    train, test = (np.random.default_rng(0).integers(0, 256, (size, 32, 32, 3), np.uint8) for size in (1_000, 200))
    np.savez(
        file,
        train_images=train,
        train_labels=np.arange(len(train)) % 10,
        test_images=test,
        test_labels=np.arange(len(test)) % 10,
    )


def has_torchvision() -> bool:
    try:
        import_network_library("torchvision.models")
    except ModuleNotFoundError:
        print("imported: left out, because `make test` has not installed torchvision in .venv/networks")
        return False
    return True


def main() -> None:
    names, rounds = read_cases_and_rounds(__doc__, [*CASES], 3)
    print_machine("torch", "pytorch-lightning")
    if "imported" in names and not has_torchvision():
        names.remove("imported")
    print(f"network         normalizer       harness    by hand   harness ÷ loop, median (min – max) of {rounds}")
    with tempfile.TemporaryDirectory() as place:
        images = Path(place) / "images.npz"
        write_colour_images(images)
        for name in names:
            overrides, normalizers, updates = CASES[name]
            root = (f"data.root={images}",) if name == "imported" else ()
            for normalizer in normalizers:
                asked = (*overrides, *root, f"normalizer={normalizer}", f"steps={updates}")
                found = in_turn({"harness": partial(harness, *asked), "by hand": partial(by_hand, *asked)}, rounds)
                ours, theirs = (statistics.median(speeds) for speeds in found.values())
                told = ratio(found["harness"], found["by hand"])
                print(f"{name:<15} {normalizer:<15} {ours:>7.1f}/s  {theirs:>7.1f}/s   {told}", flush=True)


if __name__ == "__main__":
    main()
