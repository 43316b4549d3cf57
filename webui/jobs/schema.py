"""The queue's file: tables, migrations, connections. Everything else speaks SQL through these."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from webui.errors import StorageError

_VERSION_1 = """
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of submission
    id TEXT NOT NULL UNIQUE,
    alias TEXT,
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    idempotency_key TEXT,
    work REAL NOT NULL,
    state TEXT NOT NULL,
    created REAL NOT NULL,
    started REAL,
    finished REAL,
    seconds REAL NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    stop_asked INTEGER NOT NULL DEFAULT 0,     -- 1: do not resume after a crash
    remembered TEXT,
    result TEXT,
    error TEXT
);
CREATE UNIQUE INDEX jobs_by_key ON jobs (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX jobs_by_alias ON jobs (alias) WHERE alias IS NOT NULL;
CREATE INDEX jobs_by_state ON jobs (state, number);
CREATE INDEX jobs_by_owner ON jobs (owner, number);

CREATE TABLE units (
    job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    facts TEXT NOT NULL,
    PRIMARY KEY (job, place)
) WITHOUT ROWID;

CREATE TABLE events (
    job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    time REAL NOT NULL,
    type TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (job, seq)
) WITHOUT ROWID;

CREATE TABLE owners (owner TEXT PRIMARY KEY, served REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE rates (kind TEXT PRIMARY KEY, seconds_per_work REAL NOT NULL) WITHOUT ROWID;
"""

MIGRATIONS: tuple[str, ...] = (_VERSION_1,)
"""Script n leads from version n to n + 1. Append; never change one that was released."""


def connect(path: Path) -> sqlite3.Connection:
    """Open for writing, migrated to the newest version; a commit is on disk when it returns.

    Raises: StorageError: if the file is damaged, of a newer Easel, or cannot be written.
    """
    with _sentences(path):
        connection = sqlite3.connect(
            path, timeout=5.0, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            migrate(connection, path, MIGRATIONS)
        except (sqlite3.Error, StorageError):
            connection.close()
            raise
    return connection


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open for reading; works beside a writer in this or another process.

    Raises: StorageError: if the file is missing, damaged or of another version.
    """
    with _sentences(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=5.0,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            version = _version(connection)
            if version != len(MIGRATIONS):
                raise _wrong_version(path, version)
        except (sqlite3.Error, StorageError):
            connection.close()
            raise
    return connection


def migrate(connection: sqlite3.Connection, path: Path, scripts: Sequence[str]) -> None:
    """Bring the file to version ``len(scripts)``, each step in a transaction of its own.

    Raises: StorageError: if the file is newer than that.
    """
    version = _version(connection)
    if version > len(scripts):
        raise _wrong_version(path, version)
    for number, script in enumerate(scripts[version:], start=version + 1):
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;"
            )
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit all that happens inside, or nothing.

    Raises: StorageError: if the file cannot be written, e.g. because the disk is full.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    except (sqlite3.OperationalError, sqlite3.ProgrammingError) as error:
        raise StorageError(
            f"The job queue cannot be written ({error}). Is the disk full?"
        ) from error


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StorageError(f"The job queue {path} cannot be opened: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise StorageError(
            f"The job queue {path} is damaged ({error}). Move the file away; Easel makes a new one."
        ) from error


def _version(connection: sqlite3.Connection) -> int:
    row: tuple[int] = connection.execute("PRAGMA user_version").fetchone()
    return row[0]


def _wrong_version(path: Path, version: int) -> StorageError:
    return StorageError(
        f"The job queue {path} has version {version}, this Easel knows version {len(MIGRATIONS)}. "
        "Start the Easel that wrote it, or move the file away."
    )
