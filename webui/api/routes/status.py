"""What the header shows, and the page's small questions: tokens, a picture's settings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from webui.api.auth import Identity
from webui.api.dependencies import Asker, TheServices
from webui.api.routes.jobs import job_json
from webui.api.schemas import MAX_STYLES, Name, Steps, Text
from webui.api.sse import RETRY_MILLISECONDS, SILENCE_SECONDS, encode, stream
from webui.jobs.job import JobState
from webui.services import Services

router = APIRouter(prefix="/internal", tags=["page"])

LOOK_SECONDS = 0.3
"""How often the status stream looks whether something has changed."""
MOST_COUNTED = 200
MAX_ITEM_CHARACTERS = 100_000


class TokenCountBody(BaseModel):
    """A prompt box as it stands.

    Attributes:
        styles: chosen in the tab; they count too where the setting says so.
        steps: edit schedules are looked at over so many steps.
    """

    prompt: Text
    styles: list[Name] = Field(default=[], max_length=MAX_STYLES)
    steps: Steps = 20
    negative: bool = False


@router.get("/ping")
def ping() -> dict[str, Any]:
    """Whether the server answers."""
    return {}


def status_json(services: Services, asker: Identity) -> dict[str, Any]:
    """Model, queue, own unfinished jobs."""
    model = services.model_status()
    own = (JobState.LOADING, JobState.RUNNING, JobState.QUEUED)
    waiting = services.queue.list_jobs(None, (JobState.QUEUED,), limit=MOST_COUNTED)
    running = services.queue.list_jobs(None, (JobState.LOADING, JobState.RUNNING), limit=10)
    return {
        "model": {
            "title": model.title,
            "state": model.state,
            "fraction": model.fraction,
            "message": model.message,
        },
        "queue": {"waiting": len(waiting), "running": len(running)},
        "jobs": [
            {key: job_json(job)[key] for key in ("id", "alias", "state")}
            for job in services.queue.list_jobs(asker.owner, own, limit=20)
        ],
    }


@router.get("/status")
def get_status(services: TheServices, asker: Asker) -> dict[str, Any]:
    """Model, queue, own unfinished jobs."""
    return status_json(services, asker)


@router.get("/status/events")
async def follow_status(services: TheServices, asker: Asker) -> Response:
    """The status now and after every change, as server-sent events."""
    return stream(_statuses(services, asker))


async def _statuses(services: Services, asker: Identity) -> AsyncIterator[bytes]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
    last: dict[str, Any] | None = None
    spoke = time.monotonic()
    while True:
        status = await run_in_threadpool(status_json, services, asker)
        if status != last:
            last, spoke = status, time.monotonic()
            yield encode("status", status)
        elif time.monotonic() - spoke > SILENCE_SECONDS:
            spoke = time.monotonic()
            yield b": silence\n\n"
        await asyncio.sleep(LOOK_SECONDS)


@router.post("/token-count")
def count_tokens(body: TokenCountBody, services: TheServices) -> dict[str, int]:
    """How many tokens a prompt has, and how many fit before another chunk begins."""
    count = services.count_tokens(body.prompt, body.styles, body.steps, body.negative)
    return {"used": count.used, "limit": count.limit}


@router.post("/picture-info")
async def picture_info(request: Request, services: TheServices) -> dict[str, Any]:
    """What a picture file (the body) says of itself: its infotext and all other texts."""
    info = await run_in_threadpool(services.picture_info, await request.body())
    items = [[key, value[:MAX_ITEM_CHARACTERS]] for key, value in info.items.items()]
    return {"infotext": info.infotext or "", "items": items}


@router.post("/pictures")
async def put_picture(request: Request, services: TheServices) -> dict[str, str]:
    """Keep a picture file (the body) for a request to name."""
    content = await request.body()
    return {"picture": await run_in_threadpool(services.pictures.put, content)}
