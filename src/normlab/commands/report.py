"""The command `normlab-report`: build the report of one or several output directories, and print its table."""

import argparse
import sys
from pathlib import Path

from normlab.processes.output import prepare_output
from normlab.report.analysis import Options
from normlab.report.build import build
from normlab.report.terminal import print_report


def main() -> None:
    """Build the report and print its table; exit with status 2 if a directory, or what an option names, is missing."""
    prepare_output()
    parser = argparse.ArgumentParser(prog="normlab-report", description=__doc__)
    parser.add_argument("directory", type=Path, nargs="+", help="an output directory, such as outputs/deep_cnn")
    parser.add_argument("--baseline", help="baseline of all comparisons: a normalizer, or KEY=VALUE")
    parser.add_argument("--metric", help="main metric, such as test/accuracy")
    parser.add_argument("--threshold", type=float, help="value of the metric from which a run counts as a success")
    parser.add_argument("--tune", metavar="FACTOR", help="compare every variant at its best value of it: optimizer.lr")
    formats = ("terminal", "md", "csv", "tex")
    parser.add_argument("--format", choices=formats, default="terminal", help="format of the printed table")
    arguments = parser.parse_args()
    try:
        options = Options(arguments.baseline, arguments.metric, arguments.threshold, arguments.tune)
        ablation, directory = build(arguments.directory, options)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    except OSError as error:
        sys.exit(f"the report cannot be written: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    if arguments.format == "terminal":
        print_report(ablation, directory, sys.stdout)
    else:
        print((directory / f"table.{arguments.format}").read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    main()
