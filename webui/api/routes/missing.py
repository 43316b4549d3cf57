"""A1111's routes for what Easel does not have: an honest 501 instead of a pretended success."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Body
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from webui.api.schemas import Picture

router = APIRouter(prefix="/sdapi/v1", tags=["not available"])

NOT_IMPLEMENTED: dict[int | str, dict[str, Any]] = {501: {"description": "Not available"}}


class InterrogateBody(BaseModel):
    """A picture to describe."""

    image: Picture = ""
    model: str = "clip"


@router.post("/interrogate", responses=NOT_IMPLEMENTED)
def interrogate(body: InterrogateBody) -> dict[str, str]:
    """Describe a picture in words."""
    if not body.image:
        raise HTTPException(404, "Image not found")
    if body.model not in ("clip", "deepdanbooru"):
        raise HTTPException(404, "Model not found")
    raise HTTPException(501, "Easel cannot describe pictures: it has no captioning model.")


@router.post("/create/{kind}", responses=NOT_IMPLEMENTED)
@router.post("/train/{kind}", responses=NOT_IMPLEMENTED)
def train(
    kind: Literal["embedding", "hypernetwork"],
    arguments: dict[str, Any] = Body(default={}),  # noqa: B008 - FastAPI's way
) -> dict[str, str]:
    """Make or train an embedding or a hypernetwork."""
    del arguments
    raise HTTPException(501, f"Easel cannot train: there is no way to make an {kind} here.")
