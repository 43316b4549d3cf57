"""A1111's two doors: make pictures and answer when they are there."""

from __future__ import annotations

import json
import secrets
import string
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from webui.api.answer import Facts, Finished, info, ordered
from webui.api.convert import Converted, to_request
from webui.api.dependencies import Asker, TheServices
from webui.api.given import reader
from webui.api.schemas import GenerationAnswer, GenerationBody, Img2ImgBody, Txt2ImgBody
from webui.api.units import split_units
from webui.errors import WebUIError
from webui.images.codec import to_base64
from webui.jobs.job import EventType, Job, JobState
from webui.request import from_json
from webui.services import Services

router = APIRouter(prefix="/sdapi/v1", tags=["pictures"])


@router.post("/txt2img")
async def txt2img(body: Txt2ImgBody, services: TheServices, asker: Asker) -> GenerationAnswer:
    """Pictures from a prompt."""
    return await _generate(body, services, asker.owner)


@router.post("/img2img")
async def img2img(body: Img2ImgBody, services: TheServices, asker: Asker) -> GenerationAnswer:
    """Pictures from a prompt and pictures."""
    if not body.init_images:
        raise HTTPException(404, "Init image not found")
    return await _generate(body, services, asker.owner)


async def _generate(body: GenerationBody, services: Services, owner: str) -> GenerationAnswer:
    job, converted = await run_in_threadpool(_submit, body, services, owner)
    warnings = await wait_for(services, job, owner)
    return await run_in_threadpool(
        _answer, body, services, job, owner, (*converted.warnings, *warnings)
    )


def _submit(body: GenerationBody, services: Services, owner: str) -> tuple[Job, Converted]:
    pasted = services.paste(body.infotext) if body.infotext else None
    read = reader(services.settings.current)
    units, scripts = split_units(
        body.alwayson_scripts,
        services.extensions.offers.units,
        lambda text: services.pictures.put(read(text)),
    )
    body = body.model_copy(update={"alwayson_scripts": scripts})
    converted = to_request(body, services.pictures.put, pasted, read)
    converted = replace(converted, request=replace(converted.request, units=units))
    if not body.override_settings_restore_afterwards:
        services.settings.update(converted.request.overrides)
    name = body.force_task_id or _task_name(body)
    return services.submit(converted.request, owner, name), converted


def _task_name(body: GenerationBody) -> str:
    """A job's name as A1111 makes them."""
    door = "img2img" if isinstance(body, Img2ImgBody) else "txt2img"
    letters = (secrets.choice(string.ascii_lowercase + string.digits) for _ in range(15))
    return f"task({door}-{''.join(letters)})"


async def wait_for(services: Services, job: Job, owner: str) -> list[str]:
    """Follow a job until it is over.

    Returns: its warnings.
    Raises: WebUIError: it failed, or was set aside after it crashed Easel twice.
    """
    warnings = []
    async for event in services.queue.subscribe(job.id, owner):
        if event.type is EventType.WARNING:
            warnings.append(str(event.data.get("text", "")))
        elif event.type in (EventType.FAILED, EventType.PARKED):
            raise WebUIError(str(event.data.get("error") or "The job failed."))
    return warnings


def _answer(
    body: GenerationBody,
    services: Services,
    job: Job,
    owner: str,
    warnings: tuple[str, ...],
) -> GenerationAnswer:
    over = services.queue.get(job.id, owner)
    facts: list[Facts] = [
        {"index": unit.index, **unit.facts}
        for unit in services.queue.units(job.id, owner)
        if unit.finished
    ]
    pictures = ordered(facts, with_grid=services.settings.current.return_grid)
    if over.state is JobState.INTERRUPTED:
        warnings = (*warnings, "The job was interrupted.")
    finished = Finished(from_json(over.payload), pictures, warnings, over.started or over.created)
    images = [to_base64(services.result_bytes(one)) for one in pictures] if body.send_images else []
    return GenerationAnswer(
        images=images, parameters=_echo(body, finished), info=json.dumps(info(finished))
    )


def _echo(body: GenerationBody, finished: Finished) -> dict[str, Any]:
    """The body as it was understood; pictures only where asked for."""
    width, height = finished.request.size
    echo = {**body.model_dump(), "width": width, "height": height}
    if isinstance(body, Img2ImgBody) and not body.include_init_images:
        echo |= {"init_images": None, "mask": None}
    return echo
