"""What a report costs: time and memory for a thousand runs of a hundred observed points each, on one core.

The runs are made up, 100 seeds of 10 variants with six curves, a log and what is known of two normalizers; the report
is built by the command as a user calls it.

Command: python benchmarks/report.py (about a minute)
"""

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from paired import cost, print_machine

from normlab.config.compose import compose
from normlab.runs.directory import RunDirectory
from normlab.runs.identity import run_id
from normlab.runs.record import Record

POINTS = range(100, 10_001, 100)
VARIANTS = 10
REPORT = "from normlab.commands.report import main; main()"


def make_runs(place: Path, runs: int) -> None:
    """Write run directories as a sweep leaves them, of normalizers `none` and `made1` to `made9`."""
    run = compose("experiment=mlp", "hydra.mode=RUN")
    draws = random.Random(0)
    for number in range(runs):
        seed, variant = divmod(number, VARIANTS)
        normalizer = f"made{variant}" if variant else "none"
        config = {**run.settings, "seed": seed, "normalizer": {"_target_": f"made.{normalizer}", "number": variant}}
        leave(place, config, {**run.choices, "normalizer": normalizer}, 0.9 + variant / 200 + draws.gauss(0, 0.01))


def leave(place: Path, config: dict[str, Any], choices: dict[str, str], end: float) -> None:
    directory = RunDirectory(place / "runs" / run_id(config, choices))
    directory.path.mkdir(parents=True)
    directory.config.write_text(yaml.safe_dump(config))
    directory.log.write_text("INFO normlab.training.run: something happened\n" * 50)
    rows = []
    for step in POINTS:
        height = end * (1 - 0.5 ** (step / 500))
        for split in ("train_batch", "test_batch", "val"):
            rows += [f"{step},{split}/loss,{1.2 - height!r}\n", f"{step},{split}/accuracy,{height!r}\n"]
        for block in ("hidden.0", "hidden.1"):
            rows += [f"{step},normalizer/{block}/{what},{height!r}\n" for what in ("input_p15", "variance_ratio")]
    directory.metrics.write_text("step,name,value\n" + "".join(rows))
    metrics = {f"{split}/{kind}": end for split in ("train", "val", "test") for kind in ("loss", "accuracy")}
    published = config["published"]
    directory.write(
        Record(
            directory.path.name,
            "mlp",
            config["seed"],
            choices,
            10_000,
            "finished",
            metrics,
            9.0,
            1100.0,
            published=published,
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) / "mlp"
        make_runs(place, arguments.runs)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        print_machine("matplotlib", "pandas", "scipy")
        seconds, megabytes = cost(Path(temporary), sys.executable, "-c", REPORT, str(place))
        print(f"report of {arguments.runs} runs: {seconds:.1f} s, {megabytes:.0f} MB")
        page = place / "report" / "index.html"
        print(f"its page: {page.stat().st_size / 1e6:.1f} MB")
