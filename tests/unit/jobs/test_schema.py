from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from webui.errors import StorageError
from webui.jobs import JobQueue, JobReader
from webui.jobs.schema import MIGRATIONS, connect, migrate


def test_a_new_file_has_the_newest_version_and_survives_kill_and_power_cut(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "jobs.sqlite")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_migration_keeps_what_is_there(bench: Any) -> None:
    queue = bench.open()
    job = queue.submit("picture", "{}", "ann")
    queue.close()
    script = "ALTER TABLE jobs ADD COLUMN note TEXT NOT NULL DEFAULT 'none'"
    with closing(connect(bench.path)) as connection:
        migrate(connection, bench.path, [*MIGRATIONS, script])
        rows = connection.execute("SELECT id, note FROM jobs").fetchall()
        assert rows == [(job.id, "none")]
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)


def test_a_migration_that_fails_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    with closing(connect(path)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, path, [*MIGRATIONS, "CREATE TABLE x (y); SELECT nonsense"])
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'x'")
        assert tables.fetchone() == (0,)


def test_a_file_of_a_newer_easel_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    JobQueue(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    for open_file in (JobQueue, JobReader):
        with pytest.raises(StorageError, match="has version 99"):
            open_file(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)


def test_a_damaged_file_is_named_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(StorageError, match=r"is damaged .* Move the file away"):
        JobQueue(path)
    path.unlink()
    JobQueue(path).close()  # the refusal has let go of the lock


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot make its lock file"):
        JobQueue(tmp_path / "missing" / "jobs.sqlite")
    with pytest.raises(StorageError, match="cannot be opened"):
        JobReader(tmp_path / "jobs.sqlite")


def test_one_process_cannot_open_the_file_twice(bench: Any) -> None:
    queue = bench.open()
    with pytest.raises(StorageError, match="in use by another Easel"):
        bench.open()
    queue.submit("picture", "{}", "ann")
    reader = JobReader(bench.path)
    assert len(reader.list_jobs("ann")) == 1
    queue.close()
    reader.close()
    with pytest.raises(StorageError, match="closed"):
        reader.list_jobs("ann")
    assert len(bench.open().list_jobs("ann")) == 1
