"""All that is read from the queue's file. Usable by itself, beside a running Easel."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from webui.errors import JobNotFound, StorageError
from webui.jobs.job import Event, EventType, Job, JobState, Unit
from webui.jobs.schema import connect_read_only

_JOB = (
    "number, id, alias, owner, kind, payload, work, state, created, started, finished, "
    "seconds, crashes, result, error"
)
_UNFINISHED = "('queued', 'loading', 'running', 'parked')"
_PAGE = 256


@dataclass(frozen=True)
class WaitingRow:
    """What a forecast needs to know of a waiting job."""

    number: int
    id: str
    owner: str
    kind: str
    work: float


class JobReader:
    """Reads jobs, units and events; never writes, never waits for a writer. Thread-safe.

    Every method that takes an `owner` treats the jobs of others as if they did not exist; None is
    the administrator, who sees all.

    Raises: StorageError: if the file is missing, damaged or of another version.
    """

    def __init__(self, path: Path) -> None:
        self._connection = connect_read_only(path)
        self._lock = Lock()
        self._is_closed = False

    def get(self, job_id: str, owner: str | None) -> Job:
        """The job with this id or alias; of several with the alias the newest.

        Raises: JobNotFound.
        """
        rows = self._rows(
            f"SELECT {_JOB} FROM jobs WHERE (id = ?1 OR alias = ?1) AND (?2 IS NULL OR owner = ?2) "
            "ORDER BY id = ?1 DESC, number DESC LIMIT 1",
            job_id,
            owner,
        )
        if not rows:
            raise JobNotFound("There is no job with this id (any more).")
        return _job(rows[0])

    def get_by_key(self, owner: str, idempotency_key: str) -> Job | None:
        """The job that was submitted under this key, if any."""
        rows = self._rows(
            f"SELECT {_JOB} FROM jobs WHERE owner = ? AND idempotency_key = ?",
            owner,
            idempotency_key,
        )
        return _job(rows[0]) if rows else None

    def list_jobs(
        self,
        owner: str | None,
        states: Collection[JobState] = tuple(JobState),
        *,
        limit: int = 100,
        before: int | None = None,
    ) -> list[Job]:
        """The newest jobs in one of the states, newest first; `before` pages on by `Job.number`."""
        marks = ", ".join("?" for _ in states)
        rows = self._rows(
            f"SELECT {_JOB} FROM jobs WHERE (?1 IS NULL OR owner = ?1) "
            f"AND (?2 IS NULL OR number < ?2) AND state IN ({marks}) "
            f"ORDER BY number DESC LIMIT {int(limit)}",
            owner,
            before,
            *states,
        )
        return [_job(row) for row in rows]

    def units(self, job_id: str, owner: str | None) -> list[Unit]:
        """The job's units in order of their index, also those that are only begun.

        Raises: JobNotFound.
        """
        return self.units_of(self.get(job_id, owner).number)

    def units_of(self, number: int) -> list[Unit]:
        """The units of the job with this number."""
        rows = self._rows(
            "SELECT place, finished, facts FROM units WHERE job = ? ORDER BY place", number
        )
        return [Unit(place, bool(finished), json.loads(facts)) for place, finished, facts in rows]

    def reserved(self, except_number: int) -> list[Unit]:
        """Units of other jobs that were begun and may still be finished: their names are taken."""
        rows = self._rows(
            "SELECT place, facts FROM units JOIN jobs ON number = job "
            f"WHERE units.finished = 0 AND job != ? AND state IN {_UNFINISHED}",
            except_number,
        )
        return [Unit(place, False, json.loads(facts)) for place, facts in rows]

    def events(self, job: Job, after: int = 0, limit: int = _PAGE) -> list[Event]:
        """Stored events with a number above `after`, oldest first."""
        rows = self._rows(
            "SELECT seq, time, type, data FROM events WHERE job = ? AND seq > ? "
            "ORDER BY seq LIMIT ?",
            job.number,
            after,
            limit,
        )
        return [
            Event(job.id, seq, time, EventType(kind), json.loads(data))
            for seq, time, kind, data in rows
        ]

    def last_seq(self, number: int) -> int:
        """Number of the job's newest stored event, 0 if there is none."""
        rows = self._rows("SELECT coalesce(max(seq), 0) FROM events WHERE job = ?", number)
        return int(rows[0][0])

    def remembered(self, number: int) -> str | None:
        """What the job's runner asked to remember."""
        rows = self._rows("SELECT remembered FROM jobs WHERE number = ?", number)
        return rows[0][0] if rows else None

    def payloads(self, kind: str) -> Iterator[str]:
        """The payload of every job of a kind: blobs that none of them names may be deleted."""
        number = 0
        while rows := self._rows(
            "SELECT number, payload FROM jobs WHERE number > ? AND kind = ? "
            "ORDER BY number LIMIT ?",
            number,
            kind,
            _PAGE,
        ):
            number = rows[-1][0]
            yield from (payload for _, payload in rows)

    def waiting(self) -> list[WaitingRow]:
        """The waiting jobs in order of submission."""
        rows = self._rows(
            "SELECT number, id, owner, kind, work FROM jobs WHERE state = 'queued' ORDER BY number"
        )
        return [WaitingRow(*row) for row in rows]

    def count_waiting(self, owner: str) -> tuple[int, int]:
        """How many jobs wait in all, and how many of them are this owner's."""
        rows = self._rows(
            "SELECT count(*), coalesce(sum(owner = ?), 0) FROM jobs WHERE state = 'queued'", owner
        )
        return int(rows[0][0]), int(rows[0][1])

    def asked_to_stop(self) -> set[int]:
        """Numbers of the running jobs that somebody asked to end."""
        rows = self._rows(
            "SELECT number FROM jobs WHERE stop_asked AND state IN ('loading', 'running')"
        )
        return {number for (number,) in rows}

    def served(self) -> dict[str, float]:
        """Seconds that each owner has been served."""
        return dict(self._rows("SELECT owner, served FROM owners"))

    def rates(self) -> dict[str, float]:
        """Measured seconds per unit of work, by kind."""
        return dict(self._rows("SELECT kind, seconds_per_work FROM rates"))

    def active_owners(self) -> set[str]:
        """Owners with a waiting or running job."""
        rows = self._rows(
            "SELECT DISTINCT owner FROM jobs WHERE state IN ('queued', 'loading', 'running')"
        )
        return {owner for (owner,) in rows}

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._is_closed = True
            self._connection.close()

    def _rows(self, sql: str, *values: object) -> list[Any]:
        with self._lock:
            if self._is_closed:
                raise StorageError("The job queue is closed.")
            try:
                return self._connection.execute(sql, values).fetchall()
            except sqlite3.OperationalError as error:
                raise StorageError(f"The job queue cannot be read ({error}).") from error


def _job(row: tuple[Any, ...]) -> Job:
    (number, job_id, alias, owner, kind, payload, work, state, *rest) = row
    return Job(number, job_id, alias, owner, kind, payload, work, JobState(state), *rest)
