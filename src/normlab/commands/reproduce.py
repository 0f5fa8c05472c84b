"""The command `normlab-reproduce`: every claim of the shipped experiments, running what is missing."""

import argparse
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import yaml
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from normlab.config.compose import config_directory
from normlab.config.sweep import plan_sweep
from normlab.errors import ConfigurationError
from normlab.processes.output import prepare_output
from normlab.processes.stopping import SIGNALS
from normlab.runs.run import Run
from normlab.sweeps.cost import Cost, estimate_cost

TOGETHER = ("mlp", "preprocessing")
"""Experiments whose seeds train faster together on CPUs; on GPUs all do (benchmarks/README.md)."""

PASSED_ON = (*SIGNALS, signal.SIGHUP)
"""Signals that end a sweep; SIGHUP comes from a terminal that is closed."""


@dataclass(frozen=True)
class Experiment:
    """A shipped experiment, as it is asked for."""

    name: str
    arguments: tuple[str, ...]
    runs: list[Run]
    cost: Cost


def main() -> None:
    """Run the experiments, the cheapest first, and print what holds; exit status 1 if one did not end well."""
    prepare_output()
    known = list_experiments()
    parser = argparse.ArgumentParser(prog="normlab-reproduce", description=__doc__)
    choices = f"any of {', '.join(known)} (default: all), and overrides"
    parser.add_argument("asked", nargs="*", metavar="EXPERIMENT|KEY=VALUE", help=choices)
    parser.add_argument("--dry-run", action="store_true", help="say what it would cost, and start nothing")
    arguments = parser.parse_args()
    overrides = [text for text in arguments.asked if "=" in text]
    names = [text for text in arguments.asked if "=" not in text] or known
    for name in names:
        if name not in known:
            parser.error(f"{name} is no experiment with claims: choose among {', '.join(known)}")
    try:
        experiments = sorted((plan(name, overrides) for name in names), key=lambda it: it.cost.core_minutes or 0)
    except (ConfigurationError, HydraException, OmegaConfBaseException) as mistake:
        sys.exit(str(mistake))
    for experiment in experiments:
        print(f"{experiment.name}: {experiment.cost}", flush=True)
    costs = [experiment.cost for experiment in experiments]
    minutes, megabytes = (sum(getattr(cost, key) or 0 for cost in costs) for key in ("core_minutes", "megabytes"))
    print(f"all: {sum(cost.missing for cost in costs)} runs, {minutes:.0f} core-minutes and {megabytes:.0f} MB")
    if arguments.dry_run:
        return
    statuses = []
    for experiment in experiments:
        print(f"== {experiment.name}", flush=True)
        status = _run(*experiment.arguments)
        if status and not experiment.runs[0].experiment_directory.exists():
            sys.exit(status)  # a mistake that the other experiments would repeat
        statuses.append(status)
        if status >= 128:  # stopped by a signal
            break
    _summarize(experiments)
    sys.exit(statuses[-1] if statuses[-1] >= 128 else any(statuses))


def list_experiments() -> list[str]:
    """Return the names of the shipped experiments that carry claims."""
    files = sorted((config_directory() / "experiment").glob("*.yaml"))
    return [file.stem for file in files if yaml.safe_load(file.read_text(encoding="utf-8")).get("claims")]


def plan(name: str, overrides: Sequence[str]) -> Experiment:
    """Plan an experiment. Raises ConfigurationError, or what Hydra raises."""
    arguments = (f"experiment={name}", f"hydra/launcher={choose_launcher(name, overrides)}", *overrides)
    runs = plan_sweep(*arguments)
    return Experiment(name, arguments, runs, estimate_cost(runs))


def choose_launcher(experiment: str, overrides: Sequence[str]) -> str:
    """Return the faster launcher on this machine: a population wherever runs use a GPU."""
    on_gpu = shutil.which("nvidia-smi") is not None and "accelerator=cpu" not in overrides
    return "population" if on_gpu or experiment in TOGETHER else "processes"


def _summarize(experiments: Sequence[Experiment]) -> None:
    from normlab.report.reproduction import write_reproduction  # pandas, which the runs need not wait for

    write_reproduction({experiment.name: experiment.runs for experiment in experiments}, sys.stdout)


def _run(*arguments: str) -> int:
    """Run the command `normlab` and pass signals on to it; return its exit status as shells count it."""
    # Its session is its own, so that Ctrl-C in a terminal reaches it once.
    process = subprocess.Popen([sys.executable, "-m", "normlab", *arguments], start_new_session=True)
    before = {number: signal.signal(number, lambda number, _: process.send_signal(number)) for number in PASSED_ON}
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 - status if status < 0 else status
