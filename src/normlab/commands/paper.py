"""The command `normlab-paper`: every table and figure of the two tutorials over six seeds, running what is missing."""

import argparse
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ON_CPUS = {"deep_cnn": "processes", "mlp": "population", "convnet": "processes", "preprocessing": "population"}
"""Experiment → the launcher that is faster for it on CPUs, where training together gains nothing for convolutions
(benchmarks/README.md)."""

SEEDS = "seed=0,1,2,3,4,5"


def main() -> None:
    """Run all experiments, or what is missing of them; exit status 1 if one of them did not end well."""
    parser = argparse.ArgumentParser(
        prog="normlab-paper",
        description="Every table and figure of the two tutorials over six seeds, in outputs/EXPERIMENT/report.",
    )
    parser.add_argument("overrides", nargs="*", help="for all experiments, such as accelerator.threads=2")
    parser.add_argument("--output-root", type=Path, default=Path("outputs"), help="default: outputs")
    asked = parser.parse_args()
    statuses, lines = [], []
    for experiment in ON_CPUS:
        print(f"== {experiment}", flush=True)
        start = time.monotonic()
        launcher = choose_launcher(experiment, asked.overrides)
        common = (f"hydra/launcher={launcher}", SEEDS, f"output_root={asked.output_root}")
        status = _run(f"experiment={experiment}", *common, *asked.overrides)
        if status >= 128 or (status and not (asked.output_root / experiment).exists()):
            sys.exit(status)  # stopped by a signal, or by a mistake that the other experiments would repeat
        statuses.append(status)
        lines.append(f"{experiment}: {time.monotonic() - start:.0f} s by {launcher}")
    print("\n".join(["== Where the time went", *lines]))
    sys.exit(1 if any(statuses) else 0)


def choose_launcher(experiment: str, overrides: Sequence[str]) -> str:
    """Return the faster launcher on this machine: a population wherever runs use a GPU."""
    on_gpu = shutil.which("nvidia-smi") is not None and "accelerator=cpu" not in overrides
    return "population" if on_gpu else ON_CPUS[experiment]


def _run(*arguments: str) -> int:
    """Run the command `normlab`, and return its exit status as shells count it."""
    process = subprocess.Popen([sys.executable, "-m", "normlab", *arguments])
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the sweep hears Ctrl-C too, and ends in good order
    try:
        status = process.wait()
    finally:
        signal.signal(signal.SIGINT, handler)
    return 128 - status if status < 0 else status
