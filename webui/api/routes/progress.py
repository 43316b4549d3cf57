"""How far things are, in A1111's words, and its two buttons."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from webui.api.auth import Identity
from webui.api.dependencies import Asker, TheServices
from webui.errors import JobNotFound
from webui.images.codec import to_base64, to_data_url
from webui.jobs.job import JobState
from webui.jobs.progress import Progress
from webui.postprocess.request import EXTRAS_KIND
from webui.request import from_json
from webui.services import JOB_KIND, Services

router = APIRouter(tags=["progress"])

_STARTED = 0.01
"""What A1111 reports as soon as a job has begun."""


class ProgressBody(BaseModel):
    """What a page asks about its job.

    Attributes:
        id_task: the job's name (`force_task_id`) or id.
        id_live_preview: number of the preview that the asker has already.
        live_preview: whether it wants a newer one.
    """

    id_task: Annotated[str, Field(max_length=200)] | None = None
    id_live_preview: int = -1
    live_preview: bool = True


@router.get("/sdapi/v1/progress")
def get_progress(
    services: TheServices, asker: Asker, skip_current_image: bool = False
) -> dict[str, Any]:
    """The asker's running job."""
    progress = services.queue.progress(asker.owner)
    preview = progress.preview if progress and not skip_current_image else None
    return {
        "progress": _fraction(progress) if progress else 0.0,
        "eta_relative": (progress.eta_seconds or 0.0) if progress else 0.0,
        "state": _state(progress, _door(services, progress) if progress else ""),
        "current_image": to_base64(preview.blob) if preview else None,
        "textinfo": (progress.text or None) if progress else None,
    }


def _fraction(progress: Progress) -> float:
    return min(_STARTED + progress.fraction, 1.0)


def _door(services: Services, progress: Progress) -> str:
    """What A1111 calls the running job: by the door that it came through."""
    if progress.kind != JOB_KIND:
        return progress.kind
    if progress.kind == EXTRAS_KIND:
        return "extras"
    request = from_json(services.queue.get(progress.job_id, progress.owner).payload)
    return "scripts_txt2img" if request.init is None else "scripts_img2img"


def _state(progress: Progress | None, job: str) -> dict[str, Any]:
    started = progress.started if progress else time.time()
    return {
        "skipped": progress is not None and progress.is_skipped,
        "interrupted": progress is not None and progress.is_interrupted,
        "stopping_generation": progress is not None and progress.is_stopping,
        "job": job,
        "job_count": progress.job_count if progress else 0,
        "job_timestamp": time.strftime("%Y%m%d%H%M%S", time.localtime(started)),
        "job_no": progress.job_no if progress else 0,
        "sampling_step": progress.sampling_step if progress else 0,
        "sampling_steps": progress.sampling_steps if progress else 0,
    }


@router.post("/sdapi/v1/interrupt")
def interrupt(services: TheServices, asker: Asker) -> dict[str, Any]:
    """End the asker's running job within a step."""
    progress = services.queue.progress(asker.owner)
    if progress is not None:
        services.queue.cancel(progress.job_id, asker.owner)
    return {}


@router.post("/sdapi/v1/skip")
def skip(services: TheServices, asker: Asker) -> None:
    """Give up the running job's current batch."""
    progress = services.queue.progress(asker.owner)
    if progress is not None:
        services.queue.skip(progress.job_id, asker.owner)


@router.post("/internal/progress")
def task_progress(body: ProgressBody, services: TheServices, asker: Asker) -> dict[str, Any]:
    """One job by name: whether it waits, runs or is over, and how far it is."""
    state, position = _found(services, asker, body.id_task)
    progress = services.queue.progress(asker.owner, body.id_task) if body.id_task else None
    answer: dict[str, Any] = {
        "active": progress is not None,
        "queued": state is JobState.QUEUED,
        "completed": state is not None and state.is_over,
        "progress": None,
        "eta": None,
        "live_preview": None,
        "id_live_preview": body.id_live_preview,
        "textinfo": f"In queue: {position}" if position else "Waiting...",
    }
    if progress is None:
        return answer
    answer |= {
        "progress": _fraction(progress),
        "eta": progress.eta_seconds,
        "textinfo": progress.text or None,
    }
    preview = progress.preview if body.live_preview else None
    if preview is not None and preview.number != body.id_live_preview:
        answer["live_preview"] = to_data_url(preview.blob, preview.media_type)
        answer["id_live_preview"] = preview.number
    return answer


def _found(
    services: Services, asker: Identity, name: str | None
) -> tuple[JobState | None, int | None]:
    try:
        job = services.queue.get(name or "", asker.owner)
    except JobNotFound:
        return None, None
    return job.state, job.position


@router.get("/internal/pending-tasks")
def pending_tasks(services: TheServices, asker: Asker) -> dict[str, Any]:
    """Names of the asker's waiting jobs, the next one first."""
    jobs = services.queue.list_jobs(asker.owner, (JobState.QUEUED,), limit=1000)
    names = [job.alias or job.id for job in sorted(jobs, key=lambda job: job.position or 0)]
    return {"size": len(names), "tasks": names}
