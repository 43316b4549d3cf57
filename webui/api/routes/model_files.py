"""Model files for the page: cards, previews, notes. Names go through the index, never to paths."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from webui.api.dependencies import Asker, TheServices
from webui.api.routes.pictures import thumbnail
from webui.errors import BadImage, UnsupportedModel
from webui.images.codec import DEFAULT_LIMITS
from webui.model_manager.cards import CardQuery, Sort, find_cards
from webui.model_manager.catalog import Catalog, ModelFile
from webui.model_manager.header import read_header
from webui.model_manager.user_notes import UserNotes, read_notes, write_notes

router = APIRouter(prefix="/internal/models", tags=["page"])

PREVIEW_SIDE = 512
_COVERS = "ssmd_cover_images"
Name = Annotated[str, Query(max_length=4000)]


class NotesBody(BaseModel):
    """See `UserNotes`."""

    description: Annotated[str, Field(max_length=100_000)] = ""
    notes: Annotated[str, Field(max_length=100_000)] = ""
    sd_version: Annotated[str, Field(max_length=100)] = ""
    activation_text: Annotated[str, Field(max_length=10_000)] = ""
    preferred_weight: Annotated[float, Field(gt=-1000, lt=1000)] = 0.0
    negative_text: Annotated[str, Field(max_length=10_000)] = ""
    vae: Annotated[str, Field(max_length=1000)] = ""


@router.get("/{kind}")
def cards(
    kind: str,
    services: TheServices,
    text: Annotated[str, Query(max_length=1000)] = "",
    folder: Annotated[str, Query(max_length=4000)] = "",
    sort: Sort = "path",
    descending: bool = False,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> dict[str, Any]:
    """A page of cards; `problems` are files that are there but cannot be used."""
    catalog = services.library.catalog(kind)
    query = CardQuery(text, folder, sort, descending, offset, limit)
    page = find_cards(catalog, query)
    return {
        "total": page.total,
        "folders": list(page.folders),
        "cards": [_card(catalog, file) for file in page.files],
        "problems": [
            {"name": path.name, "reason": reason} for path, reason in catalog.problems().items()
        ],
    }


def _card(catalog: Catalog, file: ModelFile) -> dict[str, Any]:
    notes = read_notes(file, catalog.description(file))
    return {
        "name": file.name,
        "label": file.stem,
        "hash": file.short_hash,
        "has_preview": file.sidecars.preview is not None,
        "version": file.version.mtime_ns // 1_000_000,
        **asdict(notes),
    }


@router.get("/{kind}/details")
def details(kind: str, name: Name, services: TheServices) -> dict[str, Any]:
    """What is known of a file, with its own notes; nothing of it is loaded."""
    catalog = services.library.catalog(kind)
    file = catalog.named(name)
    return {
        **_card(catalog, file),
        "title": file.title,
        "size_bytes": file.version.size_bytes,
        "sha256": file.hashes.sha256 if file.hashes else None,
        "addnet_hash": (file.hashes.addnet or None) if file.hashes else None,
        "metadata": _metadata(file),
    }


def _metadata(file: ModelFile) -> dict[str, str]:
    if file.path.suffix.lower() != ".safetensors":
        return {}
    try:
        found = read_header(file.path).metadata
    except (UnsupportedModel, OSError):
        return {}
    return {key: value for key, value in found.items() if key != _COVERS}


@router.get("/{kind}/preview")
def preview(kind: str, name: Name, services: TheServices) -> Response:
    """A file's preview as a small WebP picture, whatever it was."""
    path = services.library.catalog(kind).named(name).sidecars.preview
    try:
        if path is None or path.stat().st_size > DEFAULT_LIMITS.bytes:
            raise HTTPException(404, f"There is no preview of {name[:200]!r}.")
        content = thumbnail(path.read_bytes(), PREVIEW_SIDE)
    except (OSError, BadImage) as error:
        raise HTTPException(404, f"The preview of {name[:200]!r} cannot be read.") from error
    headers = {"Cache-Control": "private, max-age=3600"}
    return Response(content, media_type="image/webp", headers=headers)


@router.put("/{kind}/notes")
def put_notes(
    kind: str, name: Name, body: NotesBody, services: TheServices, asker: Asker
) -> dict[str, Any]:
    """Write the notes on a file beside it."""
    if not asker.is_admin:
        raise HTTPException(403, "Only the administrator may write notes on models.")
    catalog = services.library.catalog(kind)
    write_notes(catalog.named(name), UserNotes(**body.model_dump()))
    catalog.refresh()
    return _card(catalog, catalog.named(name))
