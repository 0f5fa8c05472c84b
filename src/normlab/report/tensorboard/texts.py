"""What TensorBoard's Text page says of a report and of each variant, in Markdown."""

import re
from pathlib import Path
from typing import Any

import yaml

from normlab.report.ablation import Ablation, Variant
from normlab.report.markdown import plain

INTERVALS = (
    "The curve of a variant is the mean of its runs at each step, without diverged runs where it has others; the band"
    " is the pointwise 95 % interval (Student's t) where several runs have the step."
)


def report_text(ablation: Ablation, drawn: int, table: Path) -> str:
    """Return the report's `table.md`, which has headline and notes too, or these where it cannot be read.

    Args:
        ablation: the results, analysed.
        drawn: how many of the variants have curves in TensorBoard.
        table: Markdown file.
    """
    try:
        told = table.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        notes = [f"- {plain(note)}" for note in ablation.notes]
        told = "\n".join([f"**{plain(ablation.headline)}**", "", *notes])
    about_curves = INTERVALS
    if drawn < len(ablation.variants):
        shown = f"{drawn} of {len(ablation.variants)} variants"
        about_curves += f" {shown} have curves in TensorBoard: the baseline and the best by {ablation.metric}."
    return f"{told}\n\n## Curves\n\n{plain(about_curves)}\n"


def config_text(variant: Variant) -> str:
    """Return the config of the variant's first run as YAML between fences, without its seed."""
    config = {key: value for key, value in variant.runs[0].config.items() if key != "seed"}
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    longest = max((len(found) for found in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}yaml\n{text}{fence}"


def environment_text(variant: Variant) -> str:
    """Return a table of what the records of the variant's runs say of their environment."""
    found: dict[str, dict[str, None]] = {}
    for run in variant.runs:
        for key, value in run.record.environment.items():
            found.setdefault(str(key), {})[_shown(value)] = None
    if not found:
        return "Nothing is recorded."
    rows = [f"| {plain(key)} | {plain('; '.join(values))} |" for key, values in found.items()]
    return "\n".join(["| | |", "|---|---|", *rows])


def _shown(value: Any) -> str:
    return "–" if value is None else str(value)
