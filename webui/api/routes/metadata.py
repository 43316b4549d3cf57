"""What a picture says of itself."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from webui.api.dependencies import TheServices
from webui.api.given import reader
from webui.api.schemas import Picture
from webui.image_files.infotext_parse import parse_infotext

router = APIRouter(prefix="/sdapi/v1", tags=["pictures"])

MAX_ITEM_CHARACTERS = 100_000


class PngInfoBody(BaseModel):
    """A picture."""

    image: Picture


@router.post("/png-info")
def png_info(body: PngInfoBody, services: TheServices) -> dict[str, Any]:
    """A picture's infotext, what it means, and the picture's other texts."""
    found = services.picture_info(reader(services.settings.current)(body.image))
    text = found.infotext or ""
    items = {key: value[:MAX_ITEM_CHARACTERS] for key, value in found.items.items()}
    styles = list(services.styles.book.styles.values())
    parameters = parse_infotext(text, services.settings.current, styles)
    return {"info": text, "items": items, "parameters": parameters}
