"""Jobs: order, progress, stopping, persistence. Knows nothing of what it runs; see docs/jobs.md."""

from webui.jobs.events import Subscription
from webui.jobs.handle import JobHandle
from webui.jobs.job import Event, EventType, Job, JobState, JsonObject, JsonValue, Unit
from webui.jobs.progress import Preview, Progress
from webui.jobs.queue import JobQueue
from webui.jobs.reader import JobReader
from webui.jobs.worker import RunJob, Worker

__all__ = [
    "Event",
    "EventType",
    "Job",
    "JobHandle",
    "JobQueue",
    "JobReader",
    "JobState",
    "JsonObject",
    "JsonValue",
    "Preview",
    "Progress",
    "RunJob",
    "Subscription",
    "Unit",
    "Worker",
]
