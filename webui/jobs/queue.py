"""The job queue: in at the front by `submit`, out to a worker by `take`, safe against kill -9."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from webui.errors import InvalidRequest, QueueFull, StorageError
from webui.jobs.events import Channel, Subscription
from webui.jobs.fairness import counter_on_arrival
from webui.jobs.forecast import Line, updated_rate
from webui.jobs.handle import JobHandle, Outcome, Stop
from webui.jobs.job import EventType, Job, JobState, Unit
from webui.jobs.ledger import Change, Ledger
from webui.jobs.progress import Progress
from webui.jobs.upkeep import forget_old, put, recover

logger = logging.getLogger(__name__)

MAX_PAYLOAD_CHARACTERS = 4 * 1024 * 1024
MAX_NAME_CHARACTERS = 200


class JobQueue:
    """All jobs of one Easel, in one SQLite file. Thread-safe; docs/jobs.md explains it.

    Every method that takes an `owner` treats the jobs of others as if they did not exist; None is
    the administrator, who sees all. Opening picks up what a crash left behind.

    Args:
        path: the SQLite file; made if it is not there.
        max_waiting: jobs that may wait in all.
        max_waiting_per_owner: jobs of one owner that may wait.
        keep_finished: jobs of one owner that are kept after they are over; the oldest go first.
        keep_seconds: how long a job is kept after it is over.
        clock: seconds since the epoch.

    Raises: StorageError: if a living process has the file open, or the file cannot be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_waiting: int = 1000,
        max_waiting_per_owner: int = 200,
        keep_finished: int = 500,
        keep_seconds: float = 30 * 86400.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._max_waiting = max_waiting
        self._max_waiting_per_owner = max_waiting_per_owner
        self._keep_finished = keep_finished
        self._keep_seconds = keep_seconds
        self._running: dict[str, JobHandle] = {}
        self._ledger = Ledger(path, clock)
        self._line = Line(self._ledger, self._running)
        try:
            recover(self._ledger)
            self._forget()
        except StorageError:
            self._ledger.close()
            raise

    # The front: submit and look.

    def submit(
        self,
        kind: str,
        payload: str,
        owner: str,
        *,
        alias: str | None = None,
        idempotency_key: str | None = None,
        work: float = 1.0,
    ) -> Job:
        """Put a job at the end of its owner's line; it is on disk when this returns.

        Args:
            kind: what sort of job it is; durations are measured for each kind.
            payload: JSON text for the runner.
            alias: a name of the caller's own (A1111's ``force_task_id``), good in place of the id;
                used again, it means the newer job.
            idempotency_key: a second submission under the same key returns the first one's job.
            work: expected work above 0, e.g. steps × megapixels × pictures.

        Raises:
            QueueFull: if too many jobs wait already.
            InvalidRequest: if the key was used for something else, or a text is too long.
        """
        _check_lengths(payload, alias, idempotency_key)
        reader = self._ledger.reader
        with self._ledger.guard:
            if idempotency_key is not None:
                former = reader.get_by_key(owner, idempotency_key)
                if former is not None:
                    return self._line.placed(_same(former, kind, payload))
            self._check_room(owner)
            active = reader.active_owners()
            counter = counter_on_arrival(owner, reader.served(), active)
            job_id = secrets.token_hex(16)
            with self._ledger.change() as change:
                if owner not in active:
                    change.write("INSERT OR REPLACE INTO owners VALUES (?, ?)", owner, counter)
                number = change.write(
                    "INSERT INTO jobs (id, alias, owner, kind, payload, idempotency_key, work, "
                    "state, created) VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', ?)",
                    job_id,
                    alias,
                    owner,
                    kind,
                    payload,
                    idempotency_key,
                    work,
                    change.time,
                )
                change.tell(number, job_id, EventType.QUEUED, {})
        self._line.announce()
        return self.get(job_id, owner)

    def get(self, job_id: str, owner: str | None) -> Job:
        """The job as it stands, by id or alias. Raises: JobNotFound."""
        return self._line.placed(self._ledger.reader.get(job_id, owner))

    def list_jobs(
        self,
        owner: str | None,
        states: Collection[JobState] = tuple(JobState),
        *,
        limit: int = 100,
        before: int | None = None,
    ) -> list[Job]:
        """The newest jobs in one of the states, newest first; `before` pages on by `Job.number`."""
        jobs = self._ledger.reader.list_jobs(owner, states, limit=limit, before=before)
        return [self._line.placed(job) for job in jobs]

    def units(self, job_id: str, owner: str | None) -> list[Unit]:
        """The job's units in order of their index. Raises: JobNotFound."""
        return self._ledger.reader.units(job_id, owner)

    def payloads(self, kind: str) -> Iterator[str]:
        """The payload of every job of a kind: blobs that none of them names may be deleted."""
        return self._ledger.reader.payloads(kind)

    def progress(self, owner: str | None, job_id: str | None = None) -> Progress | None:
        """How far the running job is, or the one that is named; None if it does not run."""
        for handle in tuple(self._running.values()):
            job = handle.job
            if owner in (None, job.owner) and job_id in (None, job.id, job.alias):
                return handle.progress()
        return None

    def subscribe(
        self,
        job_id: str,
        owner: str | None,
        *,
        after: int = 0,
        timeout_seconds: float | None = None,
    ) -> Subscription:
        """The job's events after number `after`: first those that happened, then live.

        Raises: JobNotFound: at once, not when it is iterated.
        """
        ledger = self._ledger
        job = ledger.reader.get(job_id, owner)
        channel = ledger.find_channel(job.id)
        if channel is None:
            channel = Channel(job.id, ledger.reader.last_seq(job.number))
            channel.end()
        return Subscription(
            job.id,
            channel,
            lambda seq: ledger.reader.events(job, seq),
            after,
            timeout_seconds,
            ledger.clock,
        )

    # Stopping.

    def cancel(self, job_id: str, owner: str | None) -> Job:
        """End a job now: a waiting or parked one at once, a running one within a step.

        Raises: JobNotFound.
        """
        with self._ledger.guard:
            job = self._ledger.reader.get(job_id, owner)
            if job.id in self._running:
                self._ask(self._running[job.id], Stop.NOW)
            elif job.state in (JobState.QUEUED, JobState.PARKED):
                with self._ledger.change() as change:
                    put(change, job, JobState.INTERRUPTED)
                self._ledger.end_channel(job.id)
                self._forget()
        self._line.announce()
        return self.get(job.id, owner)

    def cancel_after_current(self, job_id: str, owner: str | None) -> Job:
        """End a running job when its current batch is complete; any other like `cancel`.

        Raises: JobNotFound.
        """
        with self._ledger.guard:
            job = self._ledger.reader.get(job_id, owner)
            if job.id in self._running:
                self._ask(self._running[job.id], Stop.AFTER_CURRENT)
                return job
        return self.cancel(job_id, owner)

    def skip(self, job_id: str, owner: str | None) -> None:
        """Give up a running job's current batch; nothing happens to one that does not run.

        Raises: JobNotFound.
        """
        job = self._ledger.reader.get(job_id, owner)
        handle = self._running.get(job.id)
        if handle is not None:
            handle.ask_skip()

    def release(self, job_id: str, owner: str | None) -> Job:
        """Let a parked job run again, with its crashes forgiven; others stay as they are.

        Raises: JobNotFound.
        """
        with self._ledger.guard:
            job = self._ledger.reader.get(job_id, owner)
            if job.state is JobState.PARKED:
                with self._ledger.change() as change:
                    change.write("UPDATE jobs SET crashes = 0 WHERE number = ?", job.number)
                    put(change, job, JobState.QUEUED)
        self._line.announce()
        return self.get(job.id, owner)

    # The worker's side.

    def take(self, give_up: Callable[[], bool]) -> JobHandle | None:
        """Wait for the next job in the fair order and take it.

        Args:
            give_up: asked before each wait; `wake` makes all waiting workers ask again.

        Returns: None if told to give up, or the queue was closed.
        Raises: StorageError: if the file cannot be written.
        """
        with self._ledger.guard:
            while not (give_up() or self._ledger.is_closed):
                line = self._line.places()
                if line:
                    handle = self._start(line[0].row.id)
                    self._line.announce()
                    return handle
                self._ledger.changed.wait()
        return None

    def wake(self) -> None:
        """Make the workers that wait in `take` ask whether to give up."""
        with self._ledger.guard:
            self._ledger.changed.notify_all()

    def finish(self, handle: JobHandle, outcome: Outcome) -> None:
        """Record how a run ended; from here on the handle is void.

        Raises: StorageError: if the file cannot be written; the job counts as running then.
        """
        job = handle.job
        with self._ledger.guard:
            with self._ledger.change() as change:
                change.charge(job, handle.take_seconds())
                put(change, job, outcome.state, result=outcome.result, error=outcome.error)
                if outcome.state is JobState.DONE and not handle.is_resumed:
                    self._measure(change, handle)
            del self._running[job.id]
            if outcome.state.is_over:
                self._ledger.end_channel(job.id)
        self._forget()

    def close(self) -> None:
        """Let go of the file; a job that a worker still holds goes back to the queue, no crash.

        Stop the workers first; what they record afterwards is refused.
        """
        with self._ledger.guard:
            if self._running and not self._ledger.is_closed:
                try:
                    with self._ledger.change() as change:
                        for handle in self._running.values():
                            put(change, handle.job, JobState.QUEUED)
                except StorageError as error:
                    logger.warning("running jobs will count as crashed: %s", error)
            self._ledger.close()

    # Inside.

    def _check_room(self, owner: str) -> None:
        total, own = self._ledger.reader.count_waiting(owner)
        if own >= self._max_waiting_per_owner:
            raise QueueFull(
                f"{own} of your jobs are waiting already, and no more may. "
                "Wait for some of them, or cancel one."
            )
        if total >= self._max_waiting:
            raise QueueFull(f"The queue is full: {total} jobs are waiting. Try again later.")

    def _start(self, job_id: str) -> JobHandle:
        ledger = self._ledger
        job = ledger.reader.get(job_id, None)
        with ledger.change() as change:
            change.write(
                "UPDATE jobs SET state = 'loading', started = coalesce(started, ?), stop_asked = 0 "
                "WHERE number = ?",
                change.time,
                job.number,
            )
            change.tell(job.number, job.id, EventType.LOADING, {})
        channel = ledger.open_channel(job.id, ledger.reader.last_seq(job.number))
        handle = JobHandle(ledger, job, channel)
        self._running[job.id] = handle
        return handle

    def _ask(self, handle: JobHandle, stop: Stop) -> None:
        handle.ask(stop)
        try:
            with self._ledger.change() as change:
                change.write("UPDATE jobs SET stop_asked = 1 WHERE number = ?", handle.job.number)
        except StorageError as error:  # it stops all the same, only a crash would forget it
            logger.warning("a request to stop was not recorded: %s", error)

    def _measure(self, change: Change, handle: JobHandle) -> None:
        kind, work = handle.job.kind, handle.job.work
        rate = updated_rate(self._ledger.reader.rates().get(kind), handle.elapsed_seconds(), work)
        change.write("INSERT OR REPLACE INTO rates VALUES (?, ?)", kind, rate)

    def _forget(self) -> None:
        try:
            with self._ledger.change() as change:
                forget_old(change, self._keep_finished, self._keep_seconds)
        except StorageError as error:
            logger.warning("old jobs were not forgotten: %s", error)


def _same(former: Job, kind: str, payload: str) -> Job:
    if (former.kind, former.payload) != (kind, payload):
        raise InvalidRequest(
            "idempotency_key", "This idempotency key was used for another request already."
        )
    return former


def _check_lengths(payload: str, alias: str | None, idempotency_key: str | None) -> None:
    if len(payload) > MAX_PAYLOAD_CHARACTERS:
        raise InvalidRequest(
            "payload", f"The request is longer than {MAX_PAYLOAD_CHARACTERS} characters."
        )
    for field, text in (("alias", alias), ("idempotency_key", idempotency_key)):
        if text is not None and not 0 < len(text) <= MAX_NAME_CHARACTERS:
            raise InvalidRequest(
                field, f"The {field} must have 1 to {MAX_NAME_CHARACTERS} characters."
            )
