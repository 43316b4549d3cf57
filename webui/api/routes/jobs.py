"""The page's view of its owner's jobs: list, story, stopping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response

from webui.api.dependencies import Asker, TheServices
from webui.api.sse import SILENCE_SECONDS, encoded_events, stream
from webui.errors import JobNotFound
from webui.jobs.job import Job, JobState, Unit
from webui.jobs.progress import Progress

router = APIRouter(prefix="/internal/jobs", tags=["page"])


def job_json(job: Job) -> dict[str, Any]:
    """What the page may know of a job."""
    return {
        "id": job.id,
        "alias": job.alias,
        "kind": job.kind,
        "state": job.state.value,
        "position": job.position,
        "eta_seconds": job.eta_seconds,
        "created": job.created,
        "started": job.started,
        "finished": job.finished,
        "error": job.error,
    }


def image_json(unit: Unit) -> dict[str, Any]:
    """A finished picture as its event tells it."""
    return {"index": unit.index, **unit.facts}


def progress_json(progress: Progress) -> dict[str, Any]:
    """How far a running job is."""
    return {
        "job_no": progress.job_no,
        "job_count": progress.job_count,
        "step": progress.sampling_step,
        "steps": progress.sampling_steps,
        "fraction": progress.fraction,
        "eta_seconds": progress.eta_seconds,
        "text": progress.text,
        "is_stopping": progress.is_stopping,
        "is_interrupted": progress.is_interrupted,
    }


@router.get("")
def list_jobs(
    services: TheServices,
    asker: Asker,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    state: Annotated[list[JobState] | None, Query()] = None,
    before: int | None = None,
) -> list[dict[str, Any]]:
    """Own jobs, newest first."""
    states = tuple(state or JobState)
    jobs = services.queue.list_jobs(asker.owner, states, limit=limit, before=before)
    return [job_json(job) for job in jobs]


@router.get("/{job_id}")
def get_job(job_id: str, services: TheServices, asker: Asker) -> dict[str, Any]:
    """One job with its finished pictures and, while it runs, its progress."""
    job = services.queue.get(job_id, asker.owner)
    progress = services.queue.progress(asker.owner, job.id)
    units = services.queue.units(job.id, asker.owner)
    return {
        **job_json(job),
        "images": [image_json(unit) for unit in units if unit.finished],
        "progress": progress_json(progress) if progress else None,
    }


@router.get("/{job_id}/events")
def get_events(
    job_id: str,
    services: TheServices,
    asker: Asker,
    last_event_id: Annotated[int, Header(ge=0)] = 0,
) -> Response:
    """The job's whole story (or what follows `Last-Event-ID`), then live, until it is over."""
    subscription = services.queue.subscribe(
        job_id, asker.owner, after=last_event_id, timeout_seconds=SILENCE_SECONDS
    )

    def is_there(facts: Mapping[str, Any]) -> bool:
        return (services.paths.data / str(facts.get("path", ""))).is_file()

    return stream(encoded_events(subscription, is_there))


@router.get("/{job_id}/preview")
def get_preview(job_id: str, services: TheServices, asker: Asker) -> Response:
    """The unfinished picture's latest look; 204 while there is none."""
    job = services.queue.get(job_id, asker.owner)
    progress = services.queue.progress(asker.owner, job.id)
    if progress is None or progress.preview is None:
        return Response(status_code=204)
    preview = progress.preview
    headers = {"Cache-Control": "no-store", "X-Preview-Number": str(preview.number)}
    return Response(preview.blob, media_type=preview.media_type, headers=headers)


@router.post("/{job_id}/interrupt")
def interrupt(
    job_id: str, services: TheServices, asker: Asker, when: Literal["now", "after"] = "now"
) -> dict[str, Any]:
    """End the job: within a step, or after its current picture."""
    queue = services.queue
    end = queue.cancel_after_current if when == "after" else queue.cancel
    return job_json(end(job_id, asker.owner))


@router.post("/{job_id}/skip")
def skip(job_id: str, services: TheServices, asker: Asker) -> dict[str, Any]:
    """Give up the current batch."""
    services.queue.skip(job_id, asker.owner)
    return job_json(services.queue.get(job_id, asker.owner))


@router.post("/{job_id}/cancel")
@router.delete("/{job_id}")
def cancel(job_id: str, services: TheServices, asker: Asker) -> dict[str, Any]:
    """End the job, waiting or running; one that is over stays as it is."""
    return job_json(services.queue.cancel(job_id, asker.owner))


@router.post("/{job_id}/release")
def release(job_id: str, services: TheServices, asker: Asker) -> dict[str, Any]:
    """Let a parked job try again."""
    return job_json(services.queue.release(job_id, asker.owner))


def finished_unit(services: TheServices, job_id: str, index: int, owner: str) -> Unit:
    """A finished picture of a job.

    Raises: JobNotFound: the job is not the owner's, or has no such picture.
    """
    for unit in services.queue.units(job_id, owner):
        if unit.index == index and unit.finished:
            return unit
    raise JobNotFound("There is no such picture (any more).")
