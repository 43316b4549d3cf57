"""Small text files beside models: read within a bound, never an error."""

from __future__ import annotations

from pathlib import Path

MAX_BYTES = 1024 * 1024


def read_small_text(path: Path) -> str:
    """Return a text file's content; "" if it is larger than a megabyte, gone or unreadable."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError:
        return ""
    return "" if len(content) > MAX_BYTES else content.decode("utf-8", "replace").strip()
