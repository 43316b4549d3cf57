"""The queue's file and those who watch it: a change is committed first, then told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, RLock

from webui.errors import StorageError
from webui.jobs.events import Channel
from webui.jobs.job import Event, EventType, Job, JsonObject
from webui.jobs.lock import FileLock
from webui.jobs.reader import JobReader
from webui.jobs.schema import connect, transaction


class Change:
    """One transaction under way: what to write, and what to tell once it is on disk."""

    def __init__(self, connection: sqlite3.Connection, time: float) -> None:
        self._connection = connection
        self.time = time
        self.events: list[Event] = []

    def write(self, sql: str, *values: object) -> int:
        """Run one statement; returns the number of the row that it inserted, if it did."""
        return self._connection.execute(sql, values).lastrowid or 0

    def tell(self, number: int, job_id: str, kind: EventType, data: JsonObject) -> None:
        """Append an event to the job's story."""
        sql = (
            "INSERT INTO events (job, seq, time, type, data) "
            "SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4 FROM events WHERE job = ?1 "
            "RETURNING seq"
        )
        values = (number, self.time, kind.value, to_json(data))
        ((seq,),) = self._connection.execute(sql, values).fetchall()
        self.events.append(Event(job_id, seq, self.time, kind, data))

    def charge(self, job: Job, seconds: float) -> None:
        """Add to what the job took and to what its owner was served."""
        self.write("UPDATE jobs SET seconds = seconds + ? WHERE number = ?", seconds, job.number)
        self.write("UPDATE owners SET served = served + ? WHERE owner = ?", seconds, job.owner)


class Ledger:
    """Owns the queue's file while the process lives. Thread-safe.

    Args:
        path: the SQLite file; ``<path>.lock`` beside it keeps a second writer out.
        clock: seconds since the epoch.

    Raises: StorageError: if another process holds the file, or it cannot be used.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.guard = RLock()
        self.changed = Condition(self.guard)
        self.generation = 0
        self.is_closed = False
        self._channels: dict[str, Channel] = {}
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        try:
            self._connection = connect(path)
        except StorageError:
            self._lock.release()
            raise
        try:
            self.reader = JobReader(path)
        except StorageError:
            self._connection.close()
            self._lock.release()
            raise

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Write inside one transaction; its events go out when it is committed.

        Raises: StorageError: if it cannot be written; nothing has happened then.
        """
        with self.guard:
            if self.is_closed:
                raise StorageError("The job queue is closed.")
            change = Change(self._connection, self.clock())
            with transaction(self._connection):
                yield change
            self.generation += 1
            for event in change.events:
                self.open_channel(event.job_id, event.seq - 1).publish(event)
            self.changed.notify_all()

    def open_channel(self, job_id: str, last_seq: int) -> Channel:
        """The live channel of an unfinished job; made if it is not there yet."""
        with self.guard:
            return self._channels.setdefault(job_id, Channel(job_id, last_seq))

    def find_channel(self, job_id: str) -> Channel | None:
        """The live channel; None means that the job is over and all is in the file.

        Takes no lock, so that watchers need not wait for a commit.
        """
        return self._channels.get(job_id)

    def end_channel(self, job_id: str) -> None:
        """The job is over, and its last event is out."""
        with self.guard:
            channel = self._channels.pop(job_id, None)
        if channel is not None:
            channel.end()

    def close(self) -> None:
        """Send the watchers home and let go of the file."""
        with self.guard:
            if self.is_closed:
                return
            self.is_closed = True
            for channel in self._channels.values():
                channel.abandon()
            self._channels.clear()
            self.changed.notify_all()
            self.reader.close()
            self._connection.close()
            self._lock.release()


def to_json(value: JsonObject) -> str:
    """Compact ASCII JSON text. Raises: ValueError: for NaN and infinities."""
    return json.dumps(dict(value), separators=(",", ":"), allow_nan=False)
