"""The values that the queue hands out: jobs, their units and their events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = Mapping[str, JsonValue]


class JobState(StrEnum):
    """Where a job stands; docs/jobs.md draws the ways between the states."""

    QUEUED = "queued"
    LOADING = "loading"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    PARKED = "parked"

    @property
    def is_active(self) -> bool:
        """Whether a worker holds the job."""
        return self in (JobState.LOADING, JobState.RUNNING)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen by itself (a parked job waits for a person)."""
        return self is not JobState.QUEUED and not self.is_active


@dataclass(frozen=True)
class Job:
    """One job as it stood when it was asked for.

    Args:
        number: order of submission; later jobs have higher numbers.
        id: unguessable name of the job, 32 hexadecimal digits.
        alias: name that the caller gave, e.g. A1111's ``force_task_id``; good in place of the id.
        payload: JSON text of what to do; the queue never looks inside.
        work: how much work it is, in any unit that is the same for all jobs of this kind.
        created, started, finished: seconds since the epoch.
        seconds: time that workers have spent on it so far.
        crashes: how often the process ended unexpectedly while it ran (since its last release).
        result: JSON text that the runner returned.
        error: the sentence that says why it failed or was parked.
        position: 1 for the next job to run; None unless it waits.
        eta_seconds: expected time until it is done; None if nothing was measured yet or it is over.
    """

    number: int
    id: str
    alias: str | None
    owner: str
    kind: str
    payload: str
    work: float
    state: JobState
    created: float
    started: float | None
    finished: float | None
    seconds: float
    crashes: int
    result: str | None
    error: str | None
    position: int | None = None
    eta_seconds: float | None = None


@dataclass(frozen=True)
class Unit:
    """A part of a job that is made once and kept, such as one picture.

    Args:
        index: 0-based place in the job.
        finished: False while it is only begun: its names are reserved, its files may exist.
        facts: what was recorded: file names when begun, all worth knowing when finished.
    """

    index: int
    finished: bool
    facts: JsonObject


class EventType(StrEnum):
    """What an event tells."""

    QUEUED = "queued"
    LOADING = "loading"
    RUNNING = "running"
    STEP = "step"
    PREVIEW = "preview"
    IMAGE = "image"  # a unit is finished: {"index": ..., "facts": {...}}
    WARNING = "warning"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    PARKED = "parked"
    SILENCE = "silence"  # nothing happened for as long as the subscriber was ready to wait


@dataclass(frozen=True)
class Event:
    """Something that happened to a job.

    Args:
        seq: 1, 2, 3, ... over the job's durable events. A transient event bears the number of the
            durable one before it: "everything after seq" is right to ask for in either case.
        time: seconds since the epoch.
        data: facts in JSON's types.
        durable: stored for good. Of the transient ones (step, preview, position in the queue,
            loading's fraction) only the latest of each type is kept, in memory.
        blob: a preview's bytes, never stored.
    """

    job_id: str
    seq: int
    time: float
    type: EventType
    data: JsonObject = field(default_factory=dict)
    durable: bool = True
    blob: bytes | None = None
