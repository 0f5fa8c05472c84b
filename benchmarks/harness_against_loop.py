"""What the harness costs: updates per second of whole runs against a loop written by hand, in one process, in turn.

Both sides train the same network on the same batches with the same optimizer and threads, and observe the same at
the same updates, as the shipped experiments do. The run is one of `normlab.train`, its `seconds` as
recorded: with record, loggers and checkpoints. The loop prints and keeps nothing. A ratio of 1 means that the harness
costs nothing.

Command: python benchmarks/harness_against_loop.py (about 13 minutes on one core)
"""

import statistics
import tempfile

from loop_by_hand import loop_by_hand, read_run
from paired import in_turn, print_machine, ratio, rounds_asked_for

from normlab.training.run import train

NETWORKS = {"deep_cnn": ("tf_layers", 400), "convnet": ("slim", 2000), "mlp": ("batch_norm_1d", 10_000)}
"""Experiment → normalizer beside none, and updates of one timing, of which the share observed is the experiment's."""


def harness(experiment: str, normalizer: str, steps: int) -> float:
    """Return the updates per second of one run."""
    with tempfile.TemporaryDirectory() as root:
        record = train(read_run(experiment, normalizer, f"steps={steps}", f"output_root={root}"))
    assert record.steps_per_second is not None
    return record.steps_per_second


def main() -> None:
    rounds = rounds_asked_for(__doc__, 5)
    print_machine("torch", "pytorch-lightning")
    print(f"network   normalizer       harness    by hand   harness ÷ loop, median (min – max) of {rounds}")
    for network, (normalizer, steps) in NETWORKS.items():
        for choice in ("none", normalizer):
            sides = {
                "harness": lambda network=network, choice=choice, steps=steps: harness(network, choice, steps),
                "by hand": lambda network=network, choice=choice, steps=steps: loop_by_hand(
                    read_run(network, choice, f"steps={steps}").settings
                ),
            }
            found = in_turn(sides, rounds)
            ours, by_hand = (statistics.median(speeds) for speeds in found.values())
            told = ratio(found["harness"], found["by hand"])
            print(f"{network:<9} {choice:<14} {ours:>7.1f}/s  {by_hand:>7.1f}/s   {told}", flush=True)


if __name__ == "__main__":
    main()
