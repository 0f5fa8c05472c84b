"""Whether a change left the numbers as they were: every `metrics.csv` of the shipped experiments, here and at a commit.

Both sides run each experiment as it ships, but for 200 steps; the files are compared byte for byte, run by run. Exit
status 1 if any differ or are missing.

Command: python benchmarks/same_bytes.py 566910c (about 8 minutes on two cores; half with --outputs, the second time)
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from paired import print_machine

CHECKOUT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", help="the commit to compare with")
    parser.add_argument("experiments", nargs="*", help="default: all that ship")
    parser.add_argument("--steps", type=int, default=200, help="steps of each run (default: 200)")
    parser.add_argument("--outputs", type=Path, help="folder that keeps the commit's runs for the next time")
    arguments = parser.parse_args()
    print_machine("torch")
    experiments = arguments.experiments or sorted(path.stem for path in (CHECKOUT / "conf/experiment").glob("*.yaml"))
    with tempfile.TemporaryDirectory() as place:
        there, here = Path(place, "commit"), Path(place, "here")
        subprocess.run(
            ["git", "worktree", "add", "--quiet", "--detach", there, arguments.commit], cwd=CHECKOUT, check=True
        )
        try:
            different = 0
            for experiment in experiments:
                kept = arguments.outputs or Path(place, "kept")
                before = curves(there, kept.absolute() / arguments.commit, experiment, arguments.steps)
                after = curves(CHECKOUT, here, experiment, arguments.steps)
                unequal = [run for run in before.keys() | after.keys() if before.get(run) != after.get(run)]
                print(
                    f"{experiment:<15} {len(before)} runs, {len(unequal)} differ",
                    *sorted(unequal),
                    sep="\n  ",
                    flush=True,
                )
                different += len(unequal)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", there], cwd=CHECKOUT, check=True)
    sys.exit(1 if different else 0)


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
