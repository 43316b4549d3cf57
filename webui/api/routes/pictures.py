"""Finished pictures: shown, saved, zipped, deleted; sent as what they are, never as pages."""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from PIL import Image
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from webui.api.dependencies import Asker, TheServices
from webui.api.routes.jobs import finished_unit
from webui.errors import BadImage, InvalidRequest
from webui.images.codec import decode
from webui.jobs.job import Unit

router = APIRouter(prefix="/internal/jobs/{job_id}", tags=["page"])

MOST_ZIPPED = 1000
_KINDS = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
}
_SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/avif": ".avif",
}
_FOREVER = "private, max-age=31536000, immutable"

Index = Annotated[int, Path(ge=0, le=100_000)]


class Chosen(BaseModel):
    """Pictures of a job."""

    indexes: list[Annotated[int, Field(ge=0, le=100_000)]] = Field(max_length=MOST_ZIPPED)


def media_type(content: bytes) -> str:
    """What a picture file is, by its first bytes."""
    if content[4:12] in (b"ftypavif", b"ftypavis"):
        return "image/avif"
    return next((kind for head, kind in _KINDS.items() if content.startswith(head)), "image/png")


def thumbnail(content: bytes, side: int) -> bytes:
    """A WebP picture that fits into a square.

    Args:
        side: in pixels.
    Raises: BadImage: the file is damaged.
    """
    image = decode(content)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.convert("RGBA" if "A" in image.getbands() else "RGB").save(out, "WEBP", quality=85)
    return out.getvalue()


@router.get("/images/{index}")
def get_image(
    job_id: str,
    index: Index,
    services: TheServices,
    asker: Asker,
    thumb: Annotated[int | None, Query(ge=16, le=1024)] = None,
) -> Response:
    """A finished picture's file with its metadata, or a small copy without."""
    unit = finished_unit(services, job_id, index, asker.owner)
    try:
        content = services.result_bytes(unit.facts)
    except BadImage as error:
        raise HTTPException(404, str(error)) from None
    headers = {"Cache-Control": _FOREVER}
    if thumb is not None:
        return Response(thumbnail(content, thumb), media_type="image/webp", headers=headers)
    kind = media_type(content)
    name = file_name(unit, kind)
    headers["Content-Disposition"] = f'inline; filename="{name}"'
    return Response(content, media_type=kind, headers=headers)


def file_name(unit: Unit, kind: str) -> str:
    """A name to save a picture under; ASCII, without anything that a header could misread."""
    path = str(unit.facts.get("path") or "")
    stem = "".join(
        c for c in PurePosixPath(path).stem if c.isascii() and (c.isalnum() or c in "-_")
    )
    return f"{stem or f'picture-{unit.index + 1}'}{_SUFFIXES.get(kind, '.png')}"


@router.delete("/images/{index}")
def delete_image(job_id: str, index: Index, services: TheServices, asker: Asker) -> None:
    """Delete a finished picture's file."""
    services.delete_picture(job_id, index, asker.owner)


@router.post("/save")
def save(job_id: str, chosen: Chosen, services: TheServices, asker: Asker) -> dict[str, list[Any]]:
    """Keep copies in the folder of chosen pictures, with a row in its log.csv."""
    saved = services.save_pictures(job_id, chosen.indexes, asker.owner)
    return {"files": list(saved.names)}


@router.get("/zip")
def zip_pictures(job_id: str, indexes: str, services: TheServices, asker: Asker) -> Response:
    """Pictures in one file; `indexes` separated by commas."""
    content = services.zip_pictures(job_id, _numbers(indexes), asker.owner)
    headers = {"Content-Disposition": f'attachment; filename="pictures-{job_id[:8]}.zip"'}
    return Response(content, media_type="application/zip", headers=headers)


def _numbers(text: str) -> list[int]:
    parts = text.split(",")
    if len(parts) > MOST_ZIPPED or not all(part.isascii() and part.isdigit() for part in parts):
        raise InvalidRequest("indexes", "Give the pictures' numbers, separated by commas.")
    return [int(part) for part in parts]
