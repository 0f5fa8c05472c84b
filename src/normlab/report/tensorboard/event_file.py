"""One event file of TensorBoard's, of scalars, texts, images and a layout; neither TensorFlow nor torch is needed."""

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata  # type: ignore[import-untyped]
from tensorboard.plugins.custom_scalar import metadata as custom_scalars  # type: ignore[import-untyped]
from tensorboard.plugins.image import metadata as images  # type: ignore[import-untyped]
from tensorboard.plugins.text import metadata as texts  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]
from tensorboard.util.tensor_util import make_tensor_proto  # type: ignore[import-untyped]

PNG_START = b"\x89PNG\r\n\x1a\n"


class EventFile:
    """A new event file in a directory, which TensorBoard shows as one run; use it as a context manager.

    A session starts in it at step 0, upon which a TensorBoard that is open drops what it has read of an earlier file.

    Args:
        directory: of the run; it is made where it does not exist.
        wall_time: seconds since 1970 that stand at every event, so that the same data give the same content.
    """

    def __init__(self, directory: Path, wall_time: float) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        # TensorBoard goes on from one file of a run to the next by their names: a later one must sort behind.
        file = directory / f"events.out.tfevents.{time.time_ns():019d}.report"
        self._wall_time = wall_time
        # EventFileWriter would hand every event to a thread, which takes several times as long.
        self._records = RecordWriter(file.open("xb"))
        self._write(file_version="brain.Event:2")
        self._write(session_log=SessionLog(status=SessionLog.START))

    def __enter__(self) -> "EventFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._records.close()

    def add_scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point at `step` to the curve of each tag."""
        points = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(step=step, summary=Summary(value=points))

    def add_text(self, tag: str, markdown: str) -> None:
        self._add(tag, make_tensor_proto(_encoded(markdown)), texts.create_summary_metadata(None, None))

    def add_png(self, tag: str, png: bytes, description: str) -> None:
        """Add an image with its description, which is Markdown. Raises ValueError where the bytes are no PNG."""
        if not png.startswith(PNG_START) or len(png) < 24:
            raise ValueError(f"the image {tag} is no PNG")
        # A PNG's first chunk has its width and height, four bytes each.
        size = [str(int.from_bytes(png[place : place + 4], "big")).encode() for place in (16, 20)]
        metadata = images.create_summary_metadata(None, _encoded(description), converted_to_tensor=True)
        self._add(tag, make_tensor_proto([*size, png]), metadata)

    def add_layout(self, layout: Any) -> None:
        """Add a layout of the Custom Scalars page, a `Layout` of TensorBoard's."""
        tensor = make_tensor_proto(layout.SerializeToString())
        self._add(custom_scalars.CONFIG_SUMMARY_TAG, tensor, custom_scalars.create_summary_metadata())

    def _add(self, tag: str, tensor: Any, metadata: SummaryMetadata) -> None:
        self._write(summary=Summary(value=[Summary.Value(tag=tag, tensor=tensor, metadata=metadata)]))

    def _write(self, **fields: Any) -> None:
        self._records.write(Event(wall_time=self._wall_time, **fields).SerializeToString())


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", errors="replace")  # names of files may hold what UTF-8 cannot
