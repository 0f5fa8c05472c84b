"""The report in TensorBoard: a run per variant with its mean curves, and one with the layout and the table."""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from itertools import chain
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
        points = [create_scalars(step, values) for step, values in sorted(averages.items())]
        write_event_file(directory / "variants" / name, wall_time, points)
    observed = sorted(set(curves["name"]))
    layout = _create_layout(sorted(observed, key=lambda name: [*ablation.metrics, name].index(name)))
    text = f"{write_markdown(ablation)}\n## Curves\n\n{escape_markdown(CURVES)}\n"
    content = text.encode("utf-8", errors="replace")  # file names may hold what UTF-8 cannot encode
    table = _create_tensor("report", content, texts.create_summary_metadata(None, None))
    write_event_file(directory, wall_time, [layout, table])


def name_directories(variants: Sequence[Variant]) -> list[str]:
    """Return a directory name for each variant, numbered because TensorBoard sorts runs by name."""
    digits = len(str(len(variants)))
    names = [re.sub(r"[^\w.=+-]+", "_", variant.name)[:50] for variant in variants]
    return [f"{number:0{digits}}_{name}" for number, name in enumerate(names, start=1)]


def write_event_file(directory: Path, wall_time: float, events: Iterable[Mapping[str, Any]]) -> None:
    """Write a new event file into a directory, created if needed, which TensorBoard shows as one run.

    The file starts a session at step 0, so that an open TensorBoard drops the events of an earlier file.

    Args:
        directory: of the run.
        wall_time: seconds since 1970, the same for all events, so that the same data give the same content.
        events: further fields of each event.
    """
    directory.mkdir(parents=True, exist_ok=True)
    # TensorBoard reads the files of a run in the order of their names: a later one must sort last.
    file = directory / f"events.out.tfevents.{time.time_ns():019d}.report"
    start = [{"file_version": "brain.Event:2"}, {"session_log": SessionLog(status=SessionLog.START)}]
    # tensorboard's EventFileWriter passes every event to a thread, which takes several times as long.
    with closing(RecordWriter(file.open("xb"))) as records:
        for fields in chain(start, events):
            records.write(Event(wall_time=wall_time, **fields).SerializeToString())


def create_scalars(step: int, values: Mapping[str, float]) -> dict[str, Any]:
    """Return an event with a point at `step` of the curve of each tag."""
    points = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    return {"step": step, "summary": Summary(value=points)}


def _create_tensor(tag: str, content: bytes, metadata: SummaryMetadata) -> dict[str, Any]:
    value = Summary.Value(tag=tag, tensor=make_tensor_proto(content), metadata=metadata)
    return {"summary": Summary(value=[value])}


def _create_layout(metrics: Sequence[str]) -> dict[str, Any]:
    """Return the layout of the Custom Scalars page: a chart of all variants for each metric."""
    charts = []
    for metric in reversed(metrics):  # the page shows the last chart first (seen with 2.21)
        value, lower, upper = (tag.format(metric) for tag in (MEAN, LOWER, UPPER))
        series = layout_pb2.MarginChartContent.Series(value=value, lower=lower, upper=upper)
        charts.append(layout_pb2.Chart(title=metric, margin=layout_pb2.MarginChartContent(series=[series])))
    title = "Variants: mean, and 95 % interval if there are three runs or more"
    layout = layout_pb2.Layout(category=[layout_pb2.Category(title=title, chart=charts)] if charts else [])
    metadata = custom_scalars.create_summary_metadata()
    return _create_tensor(custom_scalars.CONFIG_SUMMARY_TAG, layout.SerializeToString(), metadata)


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
