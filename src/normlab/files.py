"""Files that are replaced as a whole."""

import os
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that readers see either the old content or the new, even after a crash.

    Raises OSError if it cannot be written (a full disk, say); the old file is then untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
