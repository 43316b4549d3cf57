"""A1111's doors of the Extras tab: pictures enlarged, and answered when they are there."""

from __future__ import annotations

import html
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from webui.api.dependencies import Asker, TheServices
from webui.api.given import reader
from webui.api.routes.generate import wait_for
from webui.api.schemas import Body, Fraction, Name, Picture
from webui.errors import InvalidRequest
from webui.images.codec import to_base64
from webui.jobs.job import Job, JobState
from webui.postprocess.request import ExtrasRequest, Upscale
from webui.request import MAX_SIDE
from webui.services import Services

router = APIRouter(prefix="/sdapi/v1", tags=["pictures"])

MOST_FACTOR = 16.0
MOST_IMAGES = 100
TargetSide = Annotated[int, Field(ge=1, le=MAX_SIDE)]


class ExtrasBody(Body):
    """What both doors take; A1111's names and defaults.

    Attributes:
        resize_mode: 0: by `upscaling_resize`; 1: to `upscaling_resize_w` x `upscaling_resize_h`.
        upscale_first: taken for compatibility; the order is fixed, as in A1111.
    """

    resize_mode: Annotated[int, Field(ge=0, le=1)] = 0
    show_extras_results: bool = True
    gfpgan_visibility: Fraction = 0.0
    codeformer_visibility: Fraction = 0.0
    codeformer_weight: Fraction = 0.0
    upscaling_resize: Annotated[float, Field(gt=0, le=MOST_FACTOR, allow_inf_nan=False)] = 2.0
    upscaling_resize_w: TargetSide = 512
    upscaling_resize_h: TargetSide = 512
    upscaling_crop: bool = True
    upscaler_1: Name = "None"
    upscaler_2: Name = "None"
    extras_upscaler_2_visibility: Fraction = 0.0
    upscale_first: bool = False


class SingleBody(ExtrasBody):
    """One picture."""

    image: Picture = ""


class FileData(BaseModel):
    """A picture with its file's name."""

    data: Picture
    name: Name = ""


class BatchBody(ExtrasBody):
    """Several pictures."""

    imageList: Annotated[list[FileData], Field(max_length=MOST_IMAGES)]  # noqa: N815 - A1111's


@router.post("/extra-single-image")
async def extra_single_image(
    body: SingleBody, services: TheServices, asker: Asker
) -> dict[str, str]:
    """One picture, enlarged."""
    if not body.image:
        raise HTTPException(404, "Image not found")
    info, images = await _answer(body, [FileData(data=body.image)], services, asker.owner)
    return {"html_info": info, "image": images[0] if images else ""}


@router.post("/extra-batch-images")
async def extra_batch_images(
    body: BatchBody, services: TheServices, asker: Asker
) -> dict[str, Any]:
    """Several pictures, enlarged."""
    if not body.imageList:
        raise HTTPException(404, "Image not found")
    info, images = await _answer(body, body.imageList, services, asker.owner)
    return {"html_info": info, "images": images}


async def _answer(
    body: ExtrasBody, files: list[FileData], services: Services, owner: str
) -> tuple[str, list[str]]:
    job = await run_in_threadpool(_submit, body, files, services, owner)
    await wait_for(services, job, owner)
    return await run_in_threadpool(_finished, services, job, owner)


def _submit(body: ExtrasBody, files: list[FileData], services: Services, owner: str) -> Job:
    if body.gfpgan_visibility > 0 or body.codeformer_visibility > 0:
        raise InvalidRequest(
            "gfpgan_visibility",
            "Easel cannot restore faces yet: set both visibilities to 0.",
        )
    read = reader(services.settings.current)
    by_size = body.resize_mode == 1
    upscale = Upscale(
        upscaler=body.upscaler_1,
        second=body.upscaler_2,
        second_visibility=body.extras_upscaler_2_visibility,
        factor=body.upscaling_resize,
        size=(body.upscaling_resize_w, body.upscaling_resize_h) if by_size else None,
        crop=body.upscaling_crop,
    )
    pictures = tuple(services.pictures.put(read(file.data)) for file in files)
    request = ExtrasRequest(pictures=pictures, upscale=upscale, is_saved=False)
    return services.submit_extras(request, owner)


def _finished(services: Services, job: Job, owner: str) -> tuple[str, list[str]]:
    units = [unit for unit in services.queue.units(job.id, owner) if unit.finished]
    if services.queue.get(job.id, owner).state is JobState.INTERRUPTED and not units:
        raise HTTPException(500, "The job was interrupted.")
    said = str(units[-1].facts.get("extras", "")) if units else ""
    images = [to_base64(services.result_bytes(unit.facts)) for unit in units]
    return f"<p>{html.escape(said)}</p>", images
