"""Published files: read from disk or downloaded, and verified by SHA-256."""

import contextlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pooch

from normlab.content import digest_file

TIMEOUT_SECONDS = 20


class DataError(Exception):
    """Missing or corrupt data; the message names the file and the remedy."""


def verify(path: Path, expected: str) -> None:
    """Raise DataError unless a file can be read and has the expected SHA-256."""
    try:
        digest, size = digest_file(path), path.stat().st_size
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if digest != expected:
        raise DataError(
            f"{path} ({size} bytes) is truncated, corrupt or another file:\n"
            f"  SHA-256 found    {digest}\n"
            f"  SHA-256 expected {expected}\n"
            "Nothing was changed. Move the file away to download it again, or put the right one in its place."
        )


def stamp(files: Iterable[Path]) -> tuple[tuple[int, int, int], ...]:
    """Return what changes when one of some files is replaced, so that a process reuses what it read from them."""
    stats = (file.stat() for file in files)
    return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats)


def download(file: Path, mirrors: Sequence[str], digest: str, looked_for: str, remedy: str) -> None:
    """Download a file from the first mirror that has it; pooch verifies it and moves it into place atomically.

    Args:
        file: where it is to be; mirrors have it under the same name.
        mirrors: URLs of folders, ending in a slash.
        digest: its SHA-256.
        looked_for: first part of the message if no mirror has it, the name of the data.
        remedy: last part of that message.

    Raises:
        DataError: with what each mirror answered.
    """
    pooch.get_logger().setLevel("WARNING")  # the error below lists all attempts
    failures = []
    for mirror in mirrors:
        downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT_SECONDS)
        try:
            pooch.retrieve(
                mirror + file.name, f"sha256:{digest}", fname=file.name, path=file.parent, downloader=downloader
            )
            return
        except Exception as error:  # after any failure (DNS, TLS, HTTP, checksum, disk), try the next mirror
            failures.append(f"  {mirror}{file.name}\n    {type(error).__name__}: {_shorten(error)}")
    with contextlib.suppress(OSError):
        file.parent.rmdir()  # pooch created it; it stays if it holds anything
    raise DataError("\n".join([f"{looked_for}, then tried", *failures, remedy]))


def _shorten(error: Exception, limit: int = 300) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
