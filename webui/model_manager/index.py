"""The index of model files: what was found out about a file, kept until the file changes."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import NamedTuple

from webui.model_manager.hashes import Hashes

_SCHEMA = """
create table if not exists hashes (
    path text primary key,
    size_bytes integer not null,
    mtime_ns integer not null,
    sha256 text not null,
    old_hash text not null,
    addnet_hash text not null
) without rowid
"""


class FileVersion(NamedTuple):
    """A file as it is now; another size or time is another version."""

    path: Path
    size_bytes: int
    mtime_ns: int


class FileIndex:
    """A small SQLite database that can be thrown away at any time.

    Args:
        path: the database; made with its folder if missing, made anew if unreadable.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._database = _connect(path)
        except sqlite3.DatabaseError:
            path.unlink()
            self._database = _connect(path)

    def hashes(self) -> dict[FileVersion, Hashes]:
        """Return all that is known."""
        with self._lock:
            rows = self._database.execute(
                "select path, size_bytes, mtime_ns, sha256, old_hash, addnet_hash from hashes"
            ).fetchall()
        return {
            FileVersion(Path(path), size, mtime): Hashes(*hashes)
            for path, size, mtime, *hashes in rows
        }

    def store(self, version: FileVersion, hashes: Hashes) -> None:
        """Remember a file's hashes in place of those of its former version."""
        about = (str(version.path), version.size_bytes, version.mtime_ns)
        row = (*about, hashes.sha256, hashes.old, hashes.addnet)
        with self._lock, self._database:
            self._database.execute("insert or replace into hashes values (?, ?, ?, ?, ?, ?)", row)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False)
    database.execute("pragma journal_mode = wal")
    database.execute("pragma synchronous = normal")
    with database:
        database.execute(_SCHEMA)
    return database
