"""The command `normlab-paper`: every table and figure of the two tutorials over five seeds, and where the time went."""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ON_CPUS = {"deep_cnn": "processes", "mlp": "population", "convnet": "processes", "preprocessing": "population"}
"""Experiment → the launcher that is faster for it on CPUs, where training together gains nothing for convolutions
(benchmarks/README.md)."""

SEEDS = "seed=0,1,2,3,4"
NO_REPORT = "hydra.sweeper.report=false"


@dataclass(frozen=True)
class Part:
    """What became of one experiment, in seconds of the clock and of training, the latter summed over its new runs."""

    experiment: str
    launcher: str
    status: int
    new_runs: int
    finished_before: int
    seconds: float
    training_seconds: float


def main() -> None:
    """Make all experiments, or what is missing of them; exit status 1 where one of them did not end well.

    The report of one is built while the next is trained, of which there is always a part that leaves a core idle.
    """
    parser = argparse.ArgumentParser(
        prog="normlab-paper",
        description="Every table and figure of the two tutorials over five seeds, in outputs/EXPERIMENT/report.",
    )
    parser.add_argument("overrides", nargs="*", help="for all experiments, such as accelerator.threads=2")
    parser.add_argument("--output-root", type=Path, default=Path("outputs"), help="default: outputs")
    arguments = parser.parse_args()
    parts: list[Part] = []
    reports: list[subprocess.Popen[str]] = []
    try:
        for experiment in ON_CPUS:
            launcher = launcher_for(experiment, arguments.overrides)
            part = _made(experiment, launcher, arguments.output_root, arguments.overrides)
            if part.status < 0:  # a signal ended it before it listened to any
                sys.exit(128 - part.status)
            if part.status >= 128 or (part.status and part.new_runs + part.finished_before == 0):
                sys.exit(part.status)  # stopped by a signal, or by a mistake that the others would repeat
            parts.append(part)
            reports.append(_report_begun(arguments.output_root / experiment))
        for part, report in zip(parts, reports, strict=True):
            told, _ = report.communicate()
            print(f"== {part.experiment}\n{told}", end="", flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        for report in reports:
            report.kill()  # where it has not ended by itself
    _print_where_the_time_went(parts)
    sys.exit(int(any(part.status for part in parts) or any(report.returncode for report in reports)))


def launcher_for(experiment: str, overrides: Sequence[str]) -> str:
    """Return the faster launcher on this machine: a population wherever runs use a GPU."""
    on_gpu = shutil.which("nvidia-smi") is not None and "accelerator=cpu" not in overrides
    return "population" if on_gpu else ON_CPUS[experiment]


def _made(experiment: str, launcher: str, root: Path, overrides: Sequence[str]) -> Part:
    print(f"== {experiment}", flush=True)
    before = _training_seconds(root / experiment)
    start = time.monotonic()
    command = (f"experiment={experiment}", f"hydra/launcher={launcher}", SEEDS, f"output_root={root}", NO_REPORT)
    process = subprocess.Popen([sys.executable, "-m", "normlab", *command, *overrides])
    while True:
        try:
            status = process.wait()
            break
        except KeyboardInterrupt:  # which the sweep heard as well, and ends on in good order
            continue
    seconds = time.monotonic() - start
    after = _training_seconds(root / experiment)
    new = [trained for run, trained in after.items() if run not in before]
    return Part(experiment, launcher, status, len(new), len(before), seconds, sum(new))


def _report_begun(directory: Path) -> "subprocess.Popen[str]":
    """Begin to build the report of an experiment, whose table the process prints at its end."""
    command = [sys.executable, "-m", "normlab.commands.report", str(directory)]
    # In a session of its own, so that Ctrl-C reaches this process alone, which then ends it.
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def _training_seconds(directory: Path) -> dict[str, float]:
    """Return run id → seconds of training, its observations included, of the runs that are finished."""
    records = [json.loads(path.read_text()) for path in directory.glob("runs/*/run.json")]
    return {record["run_id"]: record["seconds"] for record in records if record["status"] == "finished"}


def _print_where_the_time_went(parts: list[Part]) -> None:
    table = Table("experiment", "launcher", "new runs", "found", "seconds", "of training, summed over runs")
    for part in parts:
        numbers = (part.new_runs, part.finished_before, f"{part.seconds:.0f}", f"{part.training_seconds:.0f}")
        table.add_row(part.experiment, part.launcher, *map(str, numbers))
    table.add_section()
    total, training = sum(part.seconds for part in parts), sum(part.training_seconds for part in parts)
    table.add_row("all", "", str(sum(part.new_runs for part in parts)), "", f"{total:.0f}", f"{training:.0f}")
    Console(width=None if sys.stdout.isatty() else 120, highlight=False).print(table)
