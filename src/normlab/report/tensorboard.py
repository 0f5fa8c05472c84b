"""The report in TensorBoard: a run per variant with its mean curves, and one with the layout and the table."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata  # type: ignore[import-untyped]
from tensorboard.plugins.custom_scalar import layout_pb2  # type: ignore[import-untyped]
from tensorboard.plugins.custom_scalar import metadata as custom_scalars
from tensorboard.plugins.text import metadata as texts  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]
from tensorboard.util.tensor_util import make_tensor_proto  # type: ignore[import-untyped]

from normlab.report.ablation import Ablation, Variant
from normlab.report.markdown import escape_markdown, write_markdown
from normlab.report.statistics import Bounds, average_pointwise

MEAN, LOWER, UPPER = (f"variants/{{}}/mean{end}" for end in ("", "_lower", "_upper"))
"""Tags of the mean and of both ends of its interval.

Runs have none of the three: the Custom Scalars page warns about a run that has only some of them.
"""
CURVES = (
    "The curve of a variant is the mean of its runs at each step, without diverged runs if there are others; the band"
    " is the pointwise 95 % interval (Student's t) at steps that at least three runs have."
)


def write_events(ablation: Ablation, directory: Path) -> None:
    """Write event files into the directory of a report, and one per variant below its `variants/`."""
    curves = ablation.results.curves_over_steps
    records = [run.directory.record for run in ablation.results.details]
    wall_time = max((record.stat().st_mtime for record in records if record.exists()), default=0.0)
    for name, variant in zip(name_directories(ablation.variants), ablation.variants, strict=True):
        averages = _average(curves[curves["variant"] == variant.name], variant, ablation.results.bounds)
        with closing(EventFile(directory / "variants" / name, wall_time)) as events:
            for step, values in sorted(averages.items()):
                events.add_scalars(step, values)
    observed = sorted(set(curves["name"]))
    with closing(EventFile(directory, wall_time)) as events:
        events.add_layout(sorted(observed, key=lambda name: [*ablation.metrics, name].index(name)))
        events.add_text("report", f"{write_markdown(ablation)}\n## Curves\n\n{escape_markdown(CURVES)}\n")


def name_directories(variants: Sequence[Variant]) -> list[str]:
    """Return a directory name for each variant, numbered because TensorBoard sorts runs by name."""
    digits = len(str(len(variants)))
    names = [re.sub(r"[^\w.=+-]+", "_", variant.name)[:50] for variant in variants]
    return [f"{number:0{digits}}_{name}" for number, name in enumerate(names, start=1)]


class EventFile:
    """A new event file in a directory, which TensorBoard shows as one run.

    The file starts a session at step 0, so that an open TensorBoard drops the events of an earlier file.

    Args:
        directory: of the run; created if needed.
        wall_time: seconds since 1970, the same for all events, so that the same data give the same content.
    """

    def __init__(self, directory: Path, wall_time: float) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a run in the order of their names: a later one must sort last.
        file = directory / f"events.out.tfevents.{time.time_ns():019d}.report"
        self._wall_time = wall_time
        # tensorboard's EventFileWriter passes every event to a thread, which takes several times as long.
        self._records = RecordWriter(file.open("xb"))
        self._write(file_version="brain.Event:2")
        self._write(session_log=SessionLog(status=SessionLog.START))

    def close(self) -> None:
        self._records.close()

    def add_scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point at `step` to the curve of each tag."""
        points = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(step=step, summary=Summary(value=points))

    def add_text(self, tag: str, markdown: str) -> None:
        text = markdown.encode("utf-8", errors="replace")  # file names may hold what UTF-8 cannot encode
        self._add(tag, make_tensor_proto(text), texts.create_summary_metadata(None, None))

    def add_layout(self, metrics: Sequence[str]) -> None:
        """Add the layout of the Custom Scalars page: a chart of all variants for each metric."""
        charts = []
        for metric in reversed(metrics):  # the page shows the last chart first (seen with 2.21)
            value, lower, upper = (tag.format(metric) for tag in (MEAN, LOWER, UPPER))
            series = layout_pb2.MarginChartContent.Series(value=value, lower=lower, upper=upper)
            charts.append(layout_pb2.Chart(title=metric, margin=layout_pb2.MarginChartContent(series=[series])))
        title = "Variants: mean, and 95 % interval if there are three runs or more"
        categories = [layout_pb2.Category(title=title, chart=charts)] if charts else []
        tensor = make_tensor_proto(layout_pb2.Layout(category=categories).SerializeToString())
        self._add(custom_scalars.CONFIG_SUMMARY_TAG, tensor, custom_scalars.create_summary_metadata())

    def _add(self, tag: str, tensor: Any, metadata: SummaryMetadata) -> None:
        self._write(summary=Summary(value=[Summary.Value(tag=tag, tensor=tensor, metadata=metadata)]))

    def _write(self, **fields: Any) -> None:
        self._records.write(Event(wall_time=self._wall_time, **fields).SerializeToString())


def _average(curves: pd.DataFrame, variant: Variant, bounds: Callable[[str], Bounds]) -> dict[int, dict[str, float]]:
    """Return the mean curves of one variant with their intervals, as in the figures: step → {tag: value}."""
    diverged = [run.id for run in variant.runs if run.record.status == "diverged"]
    points: dict[int, dict[str, float]] = {}
    for name, group in curves.groupby("name", observed=True):
        settled = group[~group["run_id"].isin(diverged)]
        values = (group if settled.empty else settled)[["step", "value"]].to_numpy(dtype=np.float64)
        steps, mean, low, high = average_pointwise(values, bounds(str(name)))
        tags = [tag.format(name) for tag in ("{}", MEAN, LOWER, UPPER)]
        # Both ends are written even if nan: the page needs mean and ends at the same steps.
        for step, *ends in zip(steps, mean, mean, low, high, strict=True):
            points.setdefault(int(step), {}).update(zip(tags, map(float, ends), strict=True))
    return points
