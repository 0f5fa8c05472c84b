"""Digests of a user's data, computed once and cached beside other things derived from data."""

import hashlib
import json
import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from normlab.runs.record import write_atomically


@lru_cache  # a sweep composes a thousand jobs on the same data
def digest_content(root: Path) -> str | None:
    """Return a digest of a file, or of all files below a directory with their relative paths; None if there is none.

    It is computed again only if the size or the time of change of a file differs from those in the cache,
    `~/.cache/normlab/digests.json` (or below `NORMLAB_CACHE`).
    """
    files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
    if not files:
        return None
    stamps = [(str(file.relative_to(root)), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    stamp = hashlib.sha256(json.dumps(stamps).encode()).hexdigest()
    folder = os.path.expanduser(os.environ.get("NORMLAB_CACHE", "~/.cache/normlab"))  # noqa: PTH111  # never raises
    cache = Path(folder) / "digests.json"
    try:
        known = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    key = str(root.resolve())
    if known.get(key, {}).get("stamp") != stamp:
        content = hashlib.sha256()
        for file in files:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            content.update(f"{file.relative_to(root)}\0{digest}\n".encode())
        known[key] = {"stamp": stamp, "digest": content.hexdigest()[:16]}
        with suppress(OSError):  # next time it is computed again
            cache.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(cache, json.dumps(known, indent=1))
    digest = known[key]["digest"]
    assert isinstance(digest, str)
    return digest
