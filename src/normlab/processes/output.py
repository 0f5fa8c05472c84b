"""What a command prints, whatever becomes of the terminal."""

import io
import os
import sys
from pathlib import Path
from typing import Any


def prepare_output() -> None:
    """Print as much as the terminal takes; what it does not take ends no command.

    Characters that its encoding lacks become `?`. Output to a stream that was closed, or to a pipe that nobody reads
    any more, such as one to `head`, is lost.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  # open to the end
        elif isinstance(stream, io.TextIOWrapper) and stream is getattr(sys, f"__{name}__"):
            raw: Any = _Pipe(stream.fileno(), "w", closefd=False)
            setattr(
                sys,
                name,
                io.TextIOWrapper(
                    raw if stream.write_through else io.BufferedWriter(raw),
                    encoding=stream.encoding,
                    errors="replace",
                    line_buffering=stream.line_buffering,
                    write_through=stream.write_through,
                ),
            )


class _Pipe(io.FileIO):
    """The write end of a pipe, which takes everything once nobody reads it."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes
