"""What the queue does to itself: picks up what a crash left, and forgets what is old."""

from __future__ import annotations

from webui.jobs.job import EventType, Job, JobState
from webui.jobs.ledger import Change, Ledger

CRASHES_BEFORE_PARKING = 2

_PARKED = (
    "Easel ended unexpectedly twice while it worked on this job, so the job was set aside. "
    "Release it to try once more."
)
_OVER = "('done', 'failed', 'interrupted', 'parked')"


def recover(ledger: Ledger) -> None:
    """Queue again, park or end the jobs that were running when the process died.

    They keep their place in their owner's line and their finished units.
    """
    broken = ledger.reader.list_jobs(None, (JobState.LOADING, JobState.RUNNING), limit=-1)
    unwanted = ledger.reader.asked_to_stop()
    for row in ledger.reader.waiting():
        ledger.open_channel(row.id, ledger.reader.last_seq(row.number))
    with ledger.change() as change:
        for job in broken:
            _pick_up(change, job, job.number in unwanted)
    for job in broken:
        if ledger.reader.get(job.id, None).state.is_over:
            ledger.end_channel(job.id)


def _pick_up(change: Change, job: Job, is_unwanted: bool) -> None:
    crashes = job.crashes + 1
    change.write("UPDATE jobs SET crashes = ? WHERE number = ?", crashes, job.number)
    if is_unwanted:
        put(change, job, JobState.INTERRUPTED)
    elif crashes >= CRASHES_BEFORE_PARKING:
        put(change, job, JobState.PARKED, error=_PARKED)
    else:
        put(change, job, JobState.QUEUED)


def put(
    change: Change,
    job: Job,
    state: JobState,
    *,
    result: str | None = None,
    error: str | None = None,
) -> None:
    """Write a job's new state and tell it. A state of QUEUED means that it is to be resumed."""
    finished = change.time if state.is_over else None
    change.write(
        "UPDATE jobs SET state = ?, finished = ?, result = ?, error = ?, stop_asked = 0 "
        "WHERE number = ?",
        state.value,
        finished,
        result,
        error,
        job.number,
    )
    if state is JobState.QUEUED:
        change.tell(job.number, job.id, EventType.QUEUED, {"resumed": True})
    elif error is not None:
        change.tell(job.number, job.id, EventType(state.value), {"error": error})
    else:
        change.tell(job.number, job.id, EventType(state.value), {})


def forget_old(change: Change, keep_finished: int, keep_seconds: float) -> None:
    """Delete, with their units and events, jobs that are over and too old or too many.

    Args:
        keep_finished: how many of each owner's to keep; the newest stay.
        keep_seconds: how long to keep them at most.
    """
    change.write(
        f"DELETE FROM jobs WHERE state IN {_OVER} AND finished < ?", change.time - keep_seconds
    )
    change.write(
        "DELETE FROM jobs WHERE number IN (SELECT number FROM (SELECT number, row_number() "
        "OVER (PARTITION BY owner ORDER BY finished DESC, number DESC) AS place "
        f"FROM jobs WHERE state IN {_OVER}) WHERE place > ?)",
        keep_finished,
    )
    change.write("DELETE FROM owners WHERE owner NOT IN (SELECT owner FROM jobs)")
