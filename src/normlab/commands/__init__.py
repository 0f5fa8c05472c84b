"""The shell commands, one file each."""

import io
import sys


def replace_unprintable() -> None:
    """Print characters that the encoding of the terminal lacks as `?`, instead of raising UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
