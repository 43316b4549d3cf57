"""The job API: submit and get an id at once; follow, stop and fetch by that id, also later.

Parameters go by name: the body is a `GenerationRequest`, the same value that page, A1111's routes
and command line make. docs/api.md describes it; docs/examples/easel_client.py uses it.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from webui.api.dependencies import Asker, TheServices
from webui.api.routes import jobs, pictures
from webui.jobs.job import Job, JobState
from webui.request import GenerationRequest

router = APIRouter(prefix="/api/v1", tags=["jobs"])

_EXAMPLES = {
    "txt2img": {"value": {"prompt": "a red apple", "steps": 20, "seed": {"seed": 7}}},
    "img2img": {
        "value": {
            "prompt": "a watercolour",
            "init": {"images": ["<id from POST /api/v1/pictures>"], "denoising_strength": 0.6},
        }
    },
}
_EVENTS = """The job's story from the beginning (or after `Last-Event-ID`), then live, until it is
over: `queued`, `loading`, `running`, `step`, `preview` (with the picture as a data URL), `image`,
`warning`, and one of `done`, `failed`, `interrupted`, `parked` at the end."""
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"description": "Not there, or not yours"}}
_PICTURE: dict[int | str, dict[str, Any]] = {
    **_NOT_FOUND,
    200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}},
}


class JobAnswer(BaseModel):
    """Where a job stands.

    Attributes:
        position: 1 for the next to run; null unless it waits.
        eta_seconds: expected time until it is done; null if that is not known, or it is over.
        created, started, finished: seconds since the epoch.
        error: the sentence that says why it failed.
        warnings: what of the request had no effect.
    """

    id: str
    alias: str | None
    kind: str
    state: JobState
    position: int | None
    eta_seconds: float | None
    created: float
    started: float | None
    finished: float | None
    error: str | None
    warnings: list[str] = Field(default=[])


class JobDetails(JobAnswer):
    """A job with its finished pictures (fetched at `/images/{index}`) and its progress."""

    images: list[dict[str, Any]]
    progress: dict[str, Any] | None


class PictureAnswer(BaseModel):
    """A picture's id, for `init.images` and masks of a request."""

    picture: str


def _answer(job: Job, warnings: list[str] | None = None) -> JobAnswer:
    return JobAnswer(**jobs.job_json(job), warnings=warnings or [])


@router.post("/jobs", status_code=202)
async def submit(
    wanted: Annotated[GenerationRequest, Body(openapi_examples=_EXAMPLES)],
    request: Request,
    services: TheServices,
    asker: Asker,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> JobAnswer:
    """Put a job into the queue. Sent again with the same `Idempotency-Key`, it is the same job."""
    job = await run_in_threadpool(
        services.submit, wanted, asker.owner, idempotency_key=idempotency_key
    )
    given = await request.json()
    known = {one.name for one in fields(GenerationRequest)}
    unknown = sorted(set(given) - known)[:20]
    return _answer(job, [f"The field '{name[:100]}' is not known." for name in unknown])


@router.get("/jobs")
def list_jobs(
    services: TheServices,
    asker: Asker,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    state: Annotated[list[JobState] | None, Query()] = None,
) -> list[JobAnswer]:
    """Own jobs, newest first."""
    states = tuple(state or JobState)
    return [_answer(job) for job in services.queue.list_jobs(asker.owner, states, limit=limit)]


@router.get("/jobs/{job_id}", responses=_NOT_FOUND)
def get_job(job_id: str, services: TheServices, asker: Asker) -> JobDetails:
    """One job: state, place in the queue, progress, finished pictures."""
    return JobDetails(**jobs.get_job(job_id, services, asker))


@router.delete("/jobs/{job_id}", responses=_NOT_FOUND)
def cancel(job_id: str, services: TheServices, asker: Asker) -> JobAnswer:
    """End a job, waiting or running; one that is over stays as it is."""
    return _answer(services.queue.cancel(job_id, asker.owner))


@router.post("/pictures")
async def put_picture(
    content: Annotated[bytes, Body(media_type="application/octet-stream")], services: TheServices
) -> PictureAnswer:
    """Send a picture file (the body) for a request to name."""
    return PictureAnswer(picture=await run_in_threadpool(services.pictures.put, content))


_STREAM: dict[int | str, dict[str, Any]] = {
    **_NOT_FOUND,
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
}
router.add_api_route(
    "/jobs/{job_id}/events",
    jobs.get_events,
    methods=["GET"],
    description=_EVENTS,
    responses=_STREAM,
)
router.add_api_route(
    "/jobs/{job_id}/preview",
    jobs.get_preview,
    methods=["GET"],
    responses={**_PICTURE, 204: {"description": "There is none yet"}},
)
router.add_api_route(
    "/jobs/{job_id}/images/{index}", pictures.get_image, methods=["GET"], responses=_PICTURE
)
