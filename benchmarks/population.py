"""Many seeds in one process: updates of all runs per second, against a loop written by hand that trains one of them.

The runs are those of `hydra/launcher=population`, with observations, records, loggers and checkpoints; the loop
observes the same. Each shipped network has a case, with the settings of its experiment if there is one. On a GPU, where
there is one, the population's update is a CUDA graph; memory is what torch had on the GPU at most, compared with that
of a run made alone.

Command: python benchmarks/population.py [CASE ...] (about 8 minutes on two cores)
"""

import statistics
import tempfile
from typing import NamedTuple

import torch
from loop_by_hand import loop_by_hand, read_run
from paired import in_turn, print_machine, ratio, read_cases_and_rounds, working

from normlab.population.run import train_together


class Case(NamedTuple):
    """A population to time: a network with its settings, how many seeds, threads, updates of one timing."""

    settings: str
    normalizer: str
    seeds: int
    threads: int
    updates: int
    goal: float
    """What the ratio is to be at least; 0: whatever it is."""


ON_CPU = {
    "mlp": Case("experiment=mlp", "none", 16, 2, 1_000, 1.6),
    "mlp, normalized": Case("experiment=mlp", "batch_norm_1d", 16, 2, 1_000, 1.6),
    "convnet": Case("experiment=convnet data=digits", "slim", 16, 1, 60, 0),
    "deep_cnn": Case("experiment=deep_cnn data=digits", "tf_layers", 16, 1, 15, 0),
    "resnet": Case("experiment=resnet data=digits", "batch", 16, 1, 15, 0),
    "vit": Case("experiment=vit data=digits", "layer", 16, 1, 15, 0),
    "lstm": Case("experiment=lstm", "none", 16, 1, 40, 3),
    "lstm, normalized": Case("experiment=lstm", "recurrent_batch", 16, 1, 40, 3),
    "language_model": Case("model=language_model data=text data.context=32 optimizer=adam", "layer", 16, 1, 6, 0),
}
ON_GPU = {
    "mlp": Case("experiment=mlp", "batch_norm_1d", 64, 1, 5_000, 50),
    "convnet": Case("experiment=convnet", "slim", 32, 1, 2_000, 25),
    "deep_cnn": Case("experiment=deep_cnn", "tf_layers", 32, 1, 800, 12),
}


def overrides(case: Case) -> tuple[str, ...]:
    return (
        *case.settings.split(),
        f"normalizer={case.normalizer}",
        f"steps={case.updates}",
        f"accelerator.threads={case.threads}",
    )


def together(case: Case, seeds: int) -> float:
    """Return the updates per second of all runs of a population."""
    with tempfile.TemporaryDirectory() as root:
        common = (*overrides(case), f"output_root={root}")
        runs = [read_run(*common, f"seed={seed}") for seed in range(seeds)]
        train_together(runs)
        record = runs[0].directory.read()
    assert record is not None
    assert record.steps_per_second is not None  # of a run's share of the time, so of all of them together
    return record.steps_per_second


def alone(case: Case) -> float:
    return loop_by_hand(read_run(*overrides(case)).settings)


def gigabytes(case: Case, seeds: int) -> float:
    """Return the most that torch held on the GPU while a population was trained."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    together(case._replace(updates=100), seeds)
    return torch.cuda.max_memory_allocated() / 1e9


def main() -> None:
    on_gpu = torch.cuda.is_available()
    cases = ON_GPU if on_gpu else ON_CPU
    names, rounds = read_cases_and_rounds(__doc__, [*cases], 2)
    print_machine("torch", "pytorch-lightning")
    print(torch.cuda.get_device_name() if on_gpu else "no GPU: its cases are left out")
    print(f"network           normalizer      seeds threads  together   one loop   ratio, of {rounds}  goal")
    for name in names:
        case = cases[name]
        sides = {"together": lambda case=case: together(case, case.seeds), "loop": lambda case=case: alone(case)}
        if len(working(sides)) < len(sides):
            continue
        found = in_turn(sides, rounds)
        ours, by_hand = (statistics.median(speeds) for speeds in found.values())
        told = ratio(found["together"], found["loop"])
        print(
            f"{name:<17} {case.normalizer:<15} {case.seeds:>5} {case.threads:>7}"
            f" {ours:>8.0f}/s {by_hand:>8.0f}/s   {told}  {case.goal}",
            flush=True,
        )
        if on_gpu:
            held = gigabytes(case, case.seeds) / (case.seeds * gigabytes(case, 1))
            print(f"memory of {case.seeds} seeds: {held:.2f} × seeds × that of one (goal: at most 1.3)", flush=True)


if __name__ == "__main__":
    main()
