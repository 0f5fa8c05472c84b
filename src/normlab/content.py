"""Digests of a user's data, computed once and cached beside other things derived from data."""

import hashlib
import json
import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG

from normlab.files import write_atomically


def cache_directory() -> Path:
    """Return the folder of what is derived from a user's data: `~/.cache/normlab`, or `NORMLAB_CACHE`."""
    return Path(os.path.expanduser(os.environ.get("NORMLAB_CACHE", "~/.cache/normlab")))  # noqa: PTH111  # never raises


@lru_cache  # a sweep composes a thousand jobs on the same data
def digest_content(root: Path) -> str | None:
    """Return a digest of a file, or of all files below a directory with their relative paths; None if there is none.

    It is computed again only if the size or the time of change of a file differs from those in `digests.json` in the
    cache directory. Raises OSError if a file cannot be read.
    """
    stamps = list_files(root)
    if not stamps:
        return None
    stamp = hashlib.sha256(json.dumps(stamps).encode()).hexdigest()
    cache = cache_directory() / "digests.json"
    try:
        known = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    key = str(root.resolve())
    if known.get(key, {}).get("stamp") != stamp:
        content = hashlib.sha256()
        for name, *_ in stamps:
            content.update(f"{name}\0{digest_file(root / name)}\n".encode())
        known[key] = {"stamp": stamp, "digest": content.hexdigest()[:16]}
        with suppress(OSError):  # next time it is computed again
            cache.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(cache, json.dumps(known, indent=1))
    digest = known[key]["digest"]
    assert isinstance(digest, str)
    return digest


def list_files(root: Path) -> list[tuple[str, int, int]]:
    """Return relative path, size and time of change in nanoseconds of a file, or of all files below a directory."""
    if root.is_file():
        stat = root.stat()
        return [(".", stat.st_size, stat.st_mtime_ns)]
    found = []
    for folder, _, names in os.walk(root):  # with texts for paths, several times as fast as pathlib
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118
            with suppress(FileNotFoundError):  # a link to nowhere
                stat = os.stat(path)  # noqa: PTH116
                if S_ISREG(stat.st_mode):
                    found.append((path[len(str(root)) + 1 :], stat.st_size, stat.st_mtime_ns))
    return sorted(found)


def digest_file(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits. Raises OSError if it cannot be read."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
