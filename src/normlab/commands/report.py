"""The command `normlab-report`: build the report of one or several output directories, and print its table."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from normlab.processes.output import prepare_output
from normlab.report.analysis import Options
from normlab.report.build import build
from normlab.report.claims import parse_selector
from normlab.report.load import Run
from normlab.report.terminal import print_report
from normlab.report.variants import describe_run
from normlab.runs.identity import variant_id


def main() -> None:
    """Build the report and print its table; exit with status 2 if a directory, or what an option names, is missing."""
    prepare_output()
    parser = argparse.ArgumentParser(prog="normlab-report", description=__doc__)
    parser.add_argument("directory", type=Path, nargs="+", help="an output directory, such as outputs/deep_cnn")
    parser.add_argument("--where", metavar="KEY=VALUE", action="append", help="runs with this value alone; repeatable")
    parser.add_argument("--baseline", help="baseline of all comparisons: a normalizer, or KEY=VALUE")
    parser.add_argument("--metric", help="main metric, such as test/accuracy")
    parser.add_argument("--threshold", type=float, help="value of the metric from which a run counts as a success")
    parser.add_argument("--tune", metavar="KEY", help="compare every variant at its best value of it: optimizer.lr")
    formats = ("terminal", "md", "csv", "tex")
    parser.add_argument("--format", choices=formats, default="terminal", help="format of the printed table")
    arguments = parser.parse_args()
    try:
        keep = _match(arguments.where) if arguments.where else None
        options = Options(arguments.baseline, arguments.metric, arguments.threshold, arguments.tune)
        _report(arguments.directory, options, keep, arguments.format)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))


def report_sweep() -> None:
    """Report the variants that standard input names, after their directory, as a list in JSON."""
    prepare_output()
    directory, *variants = json.load(sys.stdin)

    def keep(run: Run) -> bool:
        return variant_id(run.config, run.record.choices) in variants

    try:
        _report([Path(directory)], Options(), keep, "terminal")
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))


def _match(conditions: Sequence[str]) -> Callable[[Run], bool]:
    """Return whether a run has all of some values, as a function. Raises ValueError."""
    wanted: dict[str, str] = {}
    for condition in conditions:
        wanted |= parse_selector("--where", condition)
    return lambda run: wanted.items() <= describe_run(run.config, run.record.choices).items()


def _report(directories: Sequence[Path], options: Options, keep: Callable[[Run], bool] | None, output: str) -> None:
    try:
        ablation, directory = build(directories, options, keep)
    except FileNotFoundError:
        raise
    except OSError as error:
        sys.exit(f"the report cannot be written: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    if output == "terminal":
        print_report(ablation, directory, sys.stdout)
    else:
        print((directory / f"table.{output}").read_text(encoding="utf-8"), end="")
