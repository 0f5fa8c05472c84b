"""Whether a change left the numbers as they were: every `metrics.csv` of the shipped experiments at two commits.

Both run each experiment as it ships, but for 200 steps; the files are compared byte for byte, run by run. Exit status 1
if any differ or are missing.

Command: python benchmarks/same_bytes.py 566910c (about 12 minutes on two cores)
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paired import print_machine

CHECKOUT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", help="the commit to compare with")
    parser.add_argument("experiments", nargs="*", help="default: all that ship")
    parser.add_argument("--after", default="HEAD", help="the commit to compare (default: HEAD)")
    parser.add_argument("--steps", type=int, default=200, help="steps of each run (default: 200)")
    parser.add_argument("--kept", type=Path, help="folder in which runs of the first commit are kept for the next time")
    arguments = parser.parse_args()
    print_machine("torch")
    experiments = arguments.experiments or sorted(path.stem for path in (CHECKOUT / "conf/experiment").glob("*.yaml"))
    different = 0
    with (
        tempfile.TemporaryDirectory() as place,
        checkout(arguments.before, Path(place, "before")) as before,
        checkout(arguments.after, Path(place, "after")) as after,
    ):
        kept = (arguments.kept or Path(place, "kept")).absolute() / arguments.before
        for experiment in experiments:
            expected = curves(before, kept, experiment, arguments.steps)
            found = curves(after, Path(place, "outputs"), experiment, arguments.steps)
            unequal = sorted(run for run in expected.keys() | found.keys() if expected.get(run) != found.get(run))
            print(f"{experiment:<15} {len(expected)} runs, {len(unequal)} differ", *unequal, sep="\n  ", flush=True)
            different += len(unequal)
    sys.exit(1 if different else 0)


@contextmanager
def checkout(commit: str, place: Path) -> Iterator[Path]:
    """Give a commit a working tree of its own for a while."""
    subprocess.run(["git", "worktree", "add", "--quiet", "--detach", place, commit], cwd=CHECKOUT, check=True)
    try:
        yield place
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", place], cwd=CHECKOUT, check=True)


def curves(tree: Path, outputs: Path, experiment: str, steps: int) -> dict[str, bytes]:
    """Run an experiment with the code of a source tree; return the content of `metrics.csv` by run."""
    command = [f"experiment={experiment}", f"steps={steps}", f"output_root={outputs}", "hydra.sweeper.report=false"]
    subprocess.run(
        [sys.executable, "-m", "normlab", *command],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree / "src")},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return {
        identify(json.loads(path.read_text())): path.with_name("metrics.csv").read_bytes()
        for path in outputs.glob(f"{experiment}/runs/*/run.json")
    }


def identify(record: dict[str, dict[str, str]]) -> str:
    """Return what tells a run from the others of its experiment at any commit, since run ids may change."""
    return f"{record['seed']} {record['environment']['precision']} {json.dumps(record['choices'], sort_keys=True)}"


if __name__ == "__main__":
    main()
