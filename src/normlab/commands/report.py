"""Command `normlab-report`: build the report of one or several output directories, and print its table."""

import argparse
import sys
from pathlib import Path

from normlab.report.analysis import Options
from normlab.report.build import build
from normlab.report.terminal import print_report


def main() -> None:
    """Build the report and print its table; exit status 2 for a directory, baseline or metric that does not exist."""
    parser = argparse.ArgumentParser(prog="normlab-report", description=__doc__)
    parser.add_argument("directory", type=Path, nargs="+", help="an output directory, such as outputs/deep_cnn")
    parser.add_argument("--baseline", help="variant to compare with: a normalizer, or KEY=VALUE")
    parser.add_argument("--metric", help="main metric, such as test/accuracy")
    parser.add_argument("--threshold", type=float, help="value of the metric from which a run counts as a success")
    parser.add_argument(
        "--format", choices=("terminal", "md", "csv", "tex"), default="terminal", help="format of the printed table"
    )
    asked = parser.parse_args()
    try:
        ablation, directory = build(asked.directory, Options(asked.baseline, asked.metric, asked.threshold))
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    except OSError as error:
        sys.exit(f"the report cannot be written: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    if asked.format == "terminal":
        print_report(ablation, directory, sys.stdout)
    else:
        print((directory / f"table.{asked.format}").read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    main()
